import { addon, type Name } from './addon.ts';
import { check } from './error.ts';

/** Entries that are deleted between two looks at what else there is to do: a few milliseconds. */
const AT_ONCE = 512;

/**
 * Deletes a file, or a directory with all that is in it, and lets others have their turn now and then. Names may be any bytes, and the tree deeper than a path may be long. No link
 * leads out of it, and what is mounted in it is not touched: that is an error. What somebody else deletes at the same time is gone as well. Idempotent.
 *
 * Errors: by errno; EBUSY or EXDEV for a mount.
 */
export async function removeTree(path: Name): Promise<void> {
  while (removeSome(path)) await new Promise(setImmediate);
}

/** The same without a pause. */
export function removeTreeSync(path: Name): void {
  while (removeSome(path)) continue;
}

function removeSome(path: Name): boolean {
  return check(addon().removeSome(path, AT_ONCE), 'unlinkat', path) === 1;
}
