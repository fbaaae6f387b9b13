import { nearest } from './nearest.ts';
import { UsageError } from './usage-error.ts';

/** Says which values are wanted for one key of a `--filter`. */
export type Filters = ReadonlyMap<string, readonly string[]>;

/** Groups `--filter key=value` flags by key; the key of `label!=x` is `label!`. Errors: UsageError for a key that is not known. */
export function parseFilters(given: readonly string[], known: readonly string[]): Filters {
  const filters = new Map<string, string[]>();
  for (const text of given) {
    const equals = text.indexOf('=');
    const key = (equals < 0 ? text : text.slice(0, equals)).trim();
    if (!known.includes(key)) {
      const guess = key.length > 2 ? nearest(key, known) : undefined;
      const hint = guess === undefined ? '' : `, did you mean ${guess}=?`;
      throw new UsageError(
        `Cannot use --filter ${text}: there is no filter ${key}${hint}; there are ${known.map((name) => `${name}=`).join(', ')}`,
      );
    }
    if (equals < 0) throw new UsageError(`Cannot use --filter ${text}: expected ${text}=VALUE`);
    filters.set(key, [...(filters.get(key) ?? []), text.slice(equals + 1)]);
  }
  return filters;
}

/** Errors: UsageError for a value that is none of those there are. */
export function requireOne(key: string, value: string, known: readonly string[]): void {
  if (!known.includes(value)) throw new UsageError(`Cannot use --filter ${key}=${value}: expected ${known.join(', ')}`);
}

/** As docker: part of a name, or a regular expression. */
export function nameTest(wanted: string): (named: { readonly name: string }) => boolean {
  const plain = wanted.replace(/^\//, '');
  let pattern: RegExp | undefined;
  try {
    pattern = new RegExp(wanted.replace(/^\^\/?/, '^'));
  } catch {
    // Then it is only a part of a name.
  }
  return ({ name }) => name.includes(plain) || pattern?.test(name) === true;
}

/** `true` or `false` of a filter. Errors: UsageError. */
export function filterSwitch(key: string, value: string): boolean {
  if (/^(true|t|1)$/i.test(value)) return true;
  if (/^(false|f|0)$/i.test(value)) return false;
  throw new UsageError(`Cannot use --filter ${key}=${value}: expected true or false`);
}
