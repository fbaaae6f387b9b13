import { readdirSync } from 'node:fs';
import { TareError } from '../../base/errors.ts';
import { fchmod, fchownat, S_IFDIR, S_IFLNK, S_IFMT } from '../../sys/at.ts';
import { isErrno } from '../../sys/error.ts';
import type { Fd } from '../../sys/fd.ts';
import { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openat2, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS } from '../../sys/open.ts';
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, type Stat, statx } from '../../sys/stat.ts';

/** Directories that nobody means to give away with all that is in them. */
const KEPT =
  /^\/(|bin|boot|dev|etc|home|lib|lib32|lib64|libx32|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var|(usr|var|etc)\/[^/]+)$/;
const MAX_DEPTH = 1024;
const SET_ID_BITS = 0o6000;

/** Refuses `U` for a path of the machine that a typing error away from one's own is the system's. Errors: invalid. */
export function checkMayChown(path: string): void {
  if (KEPT.test(path))
    throw new TareError(
      'invalid',
      `Cannot use option U for ${path}: its files belong to the system; give their owner by hand`,
    );
}

/**
 * Gives a directory and all that is in it to a user and group. No link is followed, no other mount entered; what others remove meanwhile is left out. Set-id bits stay away: they would speak for somebody
 * else. Errors: denied and others by errno; exhausted for a tree that is too deep.
 */
export function chownTree(dir: Fd, uid: number, gid: number): void {
  below(dir, uid, gid, 0);
  change(dir, '', statx(dir, '', AT_EMPTY_PATH), uid, gid);
}

function below(dir: Fd, uid: number, gid: number, depth: number): void {
  if (depth > MAX_DEPTH)
    throw new TareError('exhausted', `Cannot give files another owner: deeper than ${MAX_DEPTH} directories`);
  for (const name of readdirSync(`/proc/self/fd/${dir.number}`, 'buffer')) {
    try {
      const stat = statx(dir, name, AT_SYMLINK_NOFOLLOW);
      if (stat.isMountRoot) continue;
      if ((stat.mode & S_IFMT) === S_IFDIR) {
        using child = openat2(dir, name, {
          flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
          resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
        });
        below(child, uid, gid, depth + 1);
        change(child, '', statx(child, '', AT_EMPTY_PATH), uid, gid);
      } else change(dir, name, stat, uid, gid);
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
    }
  }
}

function change(dir: Fd, name: Uint8Array | '', stat: Stat, uid: number, gid: number): void {
  if (stat.uid === uid && stat.gid === gid) return;
  fchownat(dir, name, uid, gid);
  // For root the kernel keeps those of directories.
  const isPlainMode = (stat.mode & S_IFMT) === S_IFLNK || (stat.mode & SET_ID_BITS) === 0;
  if (!isPlainMode && name === '') fchmod(dir, stat.mode & 0o1777);
}
