import { addon } from './addon.ts';
import { check } from './error.ts';
import { Fd, type FdLike, numberOf } from './fd.ts';

/** A detached copy of the mount at `path` as a mount namespace has it, to be attached in another one. No thread of this process enters it. Errors: by errno. */
export function cloneMountIn(mntns: FdLike, path: string): Fd {
  return Fd.adopt(check(addon().cloneIn(numberOf(mntns), path), 'open_tree', path));
}
