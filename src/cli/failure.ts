import { messageOf } from '../base/errors.ts';
import { BrokenPipe } from './output.ts';

/** Exit code of a program that SIGPIPE killed: what a pipeline expects of a writer whose reader left. */
export const BROKEN_PIPE_CODE = 141;

/** Converts anything thrown to an exit code: the error's own (a usage error 125, a failed launch 126 or 127), else `fallback`. */
export function exitCodeOf(error: unknown, fallback: number): number {
  if (error instanceof BrokenPipe) return BROKEN_PIPE_CODE;
  const code = (error as { readonly exitCode?: unknown } | null)?.exitCode;
  return typeof code === 'number' ? code : fallback;
}

/** `Error: ...` on one line; with `debug` the stack and every cause. */
export function errorText(error: unknown, debug: boolean): string {
  const words = messageOf(error)
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ');
  const line = `Error: ${words}\n`;
  if (!debug) return line;
  let text = line;
  for (let cause = error; cause instanceof Error; cause = cause.cause) text += `  ${cause.stack ?? cause.message}\n`;
  return text;
}
