import { isKind } from '../base/errors.ts';
import type { Context } from './context.ts';
import { errorText } from './failure.ts';
import { BrokenPipe } from './output.ts';

/** What to do about names nobody has. */
export interface ForEachOptions {
  /** A name nobody has is no error. */
  readonly ignoreMissing?: boolean;
  readonly onMissing?: (name: string) => void;
  /** The exit code when any failed; default 1. */
  readonly failed?: number;
}

/** Acts on each name in turn and goes on after an error, which is printed; the result is the exit code. Errors: BrokenPipe. */
export async function forEach(
  context: Context,
  names: readonly string[],
  act: (name: string) => Promise<void>,
  options: ForEachOptions = {},
): Promise<number> {
  let code = 0;
  for (const name of names) {
    try {
      await act(name);
    } catch (error) {
      if (error instanceof BrokenPipe) throw error;
      if (options.ignoreMissing === true && isKind(error, 'not-found')) {
        options.onMissing?.(name);
        continue;
      }
      context.complain(errorText(error, context.debug));
      code = options.failed ?? 1;
    }
  }
  return code;
}
