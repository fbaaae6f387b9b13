import { closeSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { FdLike } from '../sys/fd.ts';
import { isErrno } from '../sys/error.ts';
import { MNT_DETACH, moveMount, openTree, umount } from '../sys/mount.ts';
import { AT_FDCWD } from '../sys/open.ts';

/**
 * Gives a network namespace a name, at which other programs find it, and which keeps it when all its processes have ended. A mount in the directory `dir`: somebody has to take it away. What had the name before goes. Errors: by
 * errno.
 */
export function pinNamespace(dir: string, name: string, netns: FdLike): string {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  unpinNamespace(dir, name);
  const path = join(dir, name);
  closeSync(openSync(path, 'wx', 0o400));
  using mount = openTree('', { dir: netns, clone: true });
  moveMount(mount, AT_FDCWD, path);
  return path;
}

/** Takes the name away; the namespace goes with its last process. Idempotent, also where a kill left half of it. Errors: by errno. */
export function unpinNamespace(dir: string, name: string): void {
  const path = join(dir, name);
  for (;;) {
    try {
      umount(path, MNT_DETACH);
    } catch (error) {
      if (!isErrno(error, 'EINVAL', 'ENOENT')) throw error;
      break;
    }
  }
  rmSync(path, { force: true });
}
