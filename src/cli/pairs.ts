import { UsageError } from './usage-error.ts';

/** A list of `KEY=VALUE`, or of `KEY[=VALUE]`, whose value may be empty; `shown` is the flag. Errors: UsageError. */
export function pairsOf(
  shown: string,
  given: readonly string[],
  expected: 'KEY=VALUE' | 'KEY[=VALUE]',
): Record<string, string> {
  return Object.fromEntries(
    given.map((text) => {
      const equals = text.indexOf('=');
      if (equals === 0 || (equals < 0 && expected === 'KEY=VALUE'))
        throw new UsageError(`Cannot use ${shown} ${text}: expected ${expected}`);
      return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}
