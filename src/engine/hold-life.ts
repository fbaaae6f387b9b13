import { takeLife } from '../runtime/state.ts';

/** A container's life lock, unless somebody has it, or there is none. */
export function holdIfFree(dir: string, what: string): Disposable | undefined {
  try {
    return takeLife(dir, what);
  } catch {
    return undefined;
  }
}
