/**
 * What a flag takes and what a verb gets of it. `switch`: a boolean; `list`: every value given, in order; `size`: bytes; `integer` and `number`:
 * a number; `seconds`: whole seconds; `text`: the string as given.
 */
export type FlagType = 'switch' | 'text' | 'list' | 'size' | 'integer' | 'number' | 'seconds';

/** One flag. The key in its table is the long name without dashes. */
export interface Flag {
  readonly type: FlagType;
  /** One letter, or none. */
  readonly short?: string;
  /** Another long name for the same flag, not shown in help. */
  readonly alias?: string;
  /** One line for help: begins with a capital, ends without a full stop. */
  readonly help: string;
  /** What help calls the value; default: the type's own word. */
  readonly value?: string;
  /** The only values accepted (also used to complete). */
  readonly choices?: readonly string[];
  /** Values that completion offers; others are accepted, too. One that ends with an equals sign is a beginning. */
  readonly offers?: readonly string[];
  /** A value that a person asks for by -1: accepted where numbers are otherwise not negative. */
  readonly minusOne?: true;
  /** Shown in help only. */
  readonly standard?: string;
}

/** The flags of one verb: data that parsing, checking, help and completion read. */
export type FlagTable = Readonly<Record<string, Flag>>;

/** The parsed flags of a table: absent where the user gave nothing, an empty list for lists. */
export type FlagValues<T extends FlagTable> = { readonly [K in keyof T]: FlagValue<T[K]['type']> };

type FlagValue<T extends FlagType> = T extends 'switch'
  ? boolean | undefined
  : T extends 'list'
    ? readonly string[]
    : T extends 'text'
      ? string | undefined
      : number | undefined;

/** Finds a flag by long name or alias. */
export function findLong(table: FlagTable, name: string): string | undefined {
  if (Object.hasOwn(table, name)) return name;
  for (const [key, flag] of Object.entries(table)) if (flag.alias === name) return key;
  return undefined;
}

/** Finds a flag by its letter. */
export function findShort(table: FlagTable, letter: string): string | undefined {
  for (const [key, flag] of Object.entries(table)) if (flag.short === letter) return key;
  return undefined;
}
