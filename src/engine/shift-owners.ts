import { readdirSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, statx, type Stat } from '../sys/stat.ts';
import { fchmodat, fchownat, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../sys/at.ts';
import type { Fd, FdLike } from '../sys/fd.ts';
import {
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  openat2,
  openDirectory,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
} from '../sys/open.ts';
import { getXattr, setXattr } from '../sys/xattr.ts';
import { outsideId, type UserNamespace } from './user-namespace.ts';

const CAPABILITY = 'security.capability';
const MAX_DEPTH = 1024;
const SET_ID_BITS = 0o6000;

/**
 * Gives the files of an image to the ids that a user namespace has for their owners. The image knows container ids, its layers are unpacked with those as they are outside. Every file is copied
 * into the writable layer: the kernel maps ids of a mount for the machine's root only. Nobody else may have the tree yet.
 */
export function shiftOwners(rootfs: Fd, namespace: UserNamespace): void {
  using root = openDirectory('.', { dir: rootfs });
  new Shift(namespace).run(root);
}

class Shift {
  readonly #namespace: UserNamespace;
  /** Inodes with several names, and the new owner of each. A file that is copied up under one name keeps its old owner under the others, unless overlayfs keeps an index. */
  readonly #linked = new Map<string, string>();

  constructor(namespace: UserNamespace) {
    this.#namespace = namespace;
  }

  run(root: Fd): void {
    this.#below(root, 0);
    this.#entry(root, '.', statx(root, '', AT_EMPTY_PATH));
  }

  #below(dir: Fd, depth: number): void {
    if (depth > MAX_DEPTH)
      throw new TareError(
        'exhausted',
        `Cannot give the image's files their owners: deeper than ${MAX_DEPTH} directories`,
      );
    for (const name of readdirSync(`/proc/self/fd/${dir.number}`, 'buffer')) {
      const stat = statx(dir, name, AT_SYMLINK_NOFOLLOW);
      if ((stat.mode & S_IFMT) === S_IFDIR) {
        using child = openat2(dir, name, {
          flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
          resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
        });
        this.#below(child, depth + 1);
      }
      this.#entry(dir, name, stat);
    }
  }

  #entry(dir: FdLike, name: Uint8Array | string, stat: Stat): void {
    const uid = outsideId(this.#namespace.uidMappings, stat.uid) ?? stat.uid;
    const gid = outsideId(this.#namespace.gidMappings, stat.gid) ?? stat.gid;
    if (uid === stat.uid && gid === stat.gid) return;
    const type = stat.mode & S_IFMT;
    if (type !== S_IFDIR && stat.links > 1) {
      const key = `${stat.deviceMajor}:${stat.deviceMinor}:${stat.inode}`;
      if (this.#linked.get(key) === `${stat.uid}:${stat.gid}`) return;
      this.#linked.set(key, `${uid}:${gid}`);
    }
    using file = type === S_IFREG ? openat2(dir, name, { flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK }) : undefined;
    const capability = file === undefined ? undefined : getXattr(file, CAPABILITY);
    fchownat(dir, name, uid, gid);
    // A new owner takes these away.
    if (type !== S_IFLNK && (stat.mode & SET_ID_BITS) !== 0) fchmodat(dir, name, stat.mode & 0o7777);
    if (capability === undefined) return;
    // The first descriptor is of the file below, which is not the one that was given away.
    using given = openat2(dir, name, { flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK });
    setXattr(given, CAPABILITY, capability);
  }
}
