import { type FlagTable, type FlagValues, type Flag, findLong, findShort } from './flag-table.ts';
import { nearest } from './nearest.ts';
import { UsageError } from './usage-error.ts';
import { parseInteger, parseNumber, parseSeconds, parseSize } from './values.ts';

/** A parsed command line. */
export interface Parsed<T extends FlagTable> {
  readonly flags: FlagValues<T>;
  readonly positionals: readonly string[];
  /** `--help` was given. */
  readonly help: boolean;
}

/**
 * Parses `--flag=value`, `--flag value`, `-f value`, `-fvalue`, `-f=value`, bundles (`-dit`) and `--`, as docker's and podman's parser (pflag) does.
 * A switch takes a value only with `=`. Without `interspersed` the first positional ends the flags: what follows belongs to the container.
 *
 * Errors: UsageError for an unknown flag (with the nearest known one), a missing or a bad value.
 */
export function parseFlags<T extends FlagTable>(
  table: T,
  args: readonly string[],
  how: { readonly interspersed: boolean },
): Parsed<T> {
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(table)) values[name] = flag.type === 'list' ? [] : undefined;
  const positionals: string[] = [];
  let help = false;

  let at = 0;
  const next = (shown: string): string => {
    const value = args[at];
    if (value === undefined) throw new UsageError(`Cannot use ${shown}: a value must follow`);
    at++;
    return value;
  };
  const set = (name: string, shown: string, given: string | undefined): void => {
    const flag = table[name];
    if (flag === undefined) return;
    if (flag.type === 'switch') {
      values[name] = given === undefined ? true : parseSwitch(shown, given);
    } else {
      const text = given ?? next(shown);
      if (flag.type === 'list') (values[name] as string[]).push(checkChoice(flag, shown, text));
      else values[name] = parseValue(flag, shown, text);
    }
  };

  while (at < args.length) {
    const arg = args[at++] ?? '';
    if (arg === '--') {
      positionals.push(...args.slice(at));
      break;
    }
    if (arg.startsWith('--')) {
      const equals = arg.indexOf('=');
      const long = equals < 0 ? arg.slice(2) : arg.slice(2, equals);
      const name = findLong(table, long);
      if (name !== undefined) set(name, `--${long}`, equals < 0 ? undefined : arg.slice(equals + 1));
      else if (long === 'help') help = true;
      else throw unknownFlag(table, `--${long}`);
    } else if (arg.length > 1 && arg.startsWith('-')) {
      for (let i = 1; i < arg.length; i++) {
        const letter = arg[i] ?? '';
        const name = findShort(table, letter);
        const rest = arg.slice(i + 1);
        if (name === undefined) {
          if (letter === 'h' && rest === '') help = true;
          else throw unknownFlag(table, `-${letter}`, arg);
        } else if (table[name]?.type === 'switch' && !rest.startsWith('=')) {
          set(name, `-${letter}`, undefined);
        } else {
          set(name, `-${letter}`, rest === '' ? undefined : rest.startsWith('=') ? rest.slice(1) : rest);
          break;
        }
      }
    } else {
      positionals.push(arg);
      if (!how.interspersed) {
        positionals.push(...args.slice(at));
        break;
      }
    }
  }
  return { flags: values as FlagValues<T>, positionals, help };
}

function parseValue(flag: Flag, shown: string, text: string): string | number {
  switch (flag.type) {
    case 'size':
      return flag.minusOne === true && text === '-1' ? -1 : parseSize(shown, text);
    case 'integer':
      return parseInteger(shown, text, flag.minusOne === true ? -1 : 0);
    case 'number':
      return parseNumber(shown, text);
    case 'seconds':
      return parseSeconds(shown, text, flag.minusOne === true ? -1 : 0);
    default:
      return checkChoice(flag, shown, text);
  }
}

function checkChoice(flag: Flag, shown: string, text: string): string {
  if (flag.choices !== undefined && !flag.choices.includes(text)) {
    throw new UsageError(`Cannot use ${shown} ${text}: expected ${flag.choices.join(' or ')}`);
  }
  return text;
}

function parseSwitch(shown: string, text: string): boolean {
  if (/^(true|t|1)$/i.test(text)) return true;
  if (/^(false|f|0)$/i.test(text)) return false;
  throw new UsageError(`Cannot use ${shown}=${text}: expected true or false`);
}

function unknownFlag(table: FlagTable, shown: string, within?: string): UsageError {
  const place = within === undefined || within === shown ? '' : ` in ${within}`;
  const names = Object.keys(table).map((name) => `--${name}`);
  const guess = shown.startsWith('--') ? nearest(shown, names) : undefined;
  return new UsageError(
    `Cannot use ${shown}${place}: unknown flag${guess === undefined ? '' : `; did you mean ${guess}?`}`,
  );
}
