import { UsageError } from '../usage-error.ts';

/** An error of a template, with the place in its text. */
export function templateError(text: string, at: number, message: string): UsageError {
  const before = text.slice(0, at).split('\n');
  const column = [...(before.at(-1) ?? '')].length + 1;
  return new UsageError(`Cannot use --format: line ${before.length}, column ${column}: ${message}`);
}
