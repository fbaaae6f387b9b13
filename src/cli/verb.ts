import type { Context } from './context.ts';
import type { FlagTable, FlagValues } from './flag-table.ts';

/** One verb: its flags as data, and what it does. */
export interface Verb<T extends FlagTable = FlagTable> {
  /** What follows the verb in the usage line: `[OPTIONS] CONTAINER [CONTAINER...]`. */
  readonly usage: string;
  readonly flags: T;
  /** Command lines without `tare`, each with what it does. */
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** How many positional arguments it takes. */
  readonly args: { readonly min: number; readonly max?: number };
  /** Flags end at the first positional argument: the rest belongs to the container. */
  readonly commandFollows?: boolean;
  /** Exit code of an error that brings none; default 1. `run` and `exec` say 125, to tell it from the container's. */
  readonly errorCode?: number;
  /** Does it; the result is the exit code. */
  run(context: Context, flags: FlagValues<T>, args: readonly string[]): Promise<number> | number;
}

/** Keeps the exact type of a verb's flag table, so that `run` gets the flags typed. */
export function defineVerb<const T extends FlagTable>(verb: Verb<T>): Verb<T> {
  return verb;
}
