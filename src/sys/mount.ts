import { addon, type Name } from './addon.ts';
import { check, SysError } from './error.ts';
import { Fd, type FdLike, numberOf } from './fd.ts';
import { AT_FDCWD } from './open.ts';
import { AT_EMPTY_PATH, AT_RECURSIVE } from './stat.ts';

/*
 * The kernel's mount API (5.2 and newer), one function per call. A mount made here is *detached*: it exists by its
 * descriptor alone, in no namespace, and goes away with it unless `moveMount` attaches it. Errors of all: by errno.
 */

export const MOUNT_ATTR_RDONLY = 0x1;
export const MOUNT_ATTR_NOSUID = 0x2;
export const MOUNT_ATTR_NODEV = 0x4;
export const MOUNT_ATTR_NOEXEC = 0x8;
/** The field NOATIME and STRICTATIME are values of; clear it to set either. */
export const MOUNT_ATTR__ATIME = 0x70;
export const MOUNT_ATTR_NOATIME = 0x10;
export const MOUNT_ATTR_STRICTATIME = 0x20;
export const MOUNT_ATTR_NODIRATIME = 0x80;
export const MOUNT_ATTR_IDMAP = 0x100000;
export const MOUNT_ATTR_NOSYMFOLLOW = 0x200000;

export const MS_UNBINDABLE = 1 << 17;
export const MS_PRIVATE = 1 << 18;
export const MS_SLAVE = 1 << 19;
export const MS_SHARED = 1 << 20;

export const MNT_FORCE = 1;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

const OPEN_TREE_CLONE = 1;
const O_CLOEXEC = 0o2000000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_SET_FD = 5;
const FSCONFIG_CMD_CREATE = 6;

/** open_tree(2). With `clone` a new detached mount of what lies at `path` ("": at `dir` itself), with its sub-mounts when `recursive`; else a handle like O_PATH. */
export function openTree(path: Name, options: { dir?: FdLike; clone?: boolean; recursive?: boolean } = {}): Fd {
  const flags =
    O_CLOEXEC |
    (options.clone === true ? OPEN_TREE_CLONE : 0) |
    (options.recursive === true ? AT_RECURSIVE : 0) |
    (path.length === 0 ? AT_EMPTY_PATH : 0);
  return Fd.adopt(check(addon().openTree(numberOf(options.dir ?? AT_FDCWD), path, flags), 'open_tree', path));
}

/** move_mount(2): attaches a detached mount (or moves an attached one) to `path` below `dir` ("": to `dir` itself). Symlinks are not followed. */
export function moveMount(mount: FdLike, dir: FdLike, path: Name): void {
  const flags = MOVE_MOUNT_F_EMPTY_PATH | (path.length === 0 ? MOVE_MOUNT_T_EMPTY_PATH : 0);
  check(addon().moveMount(numberOf(mount), '', numberOf(dir), path, flags), 'move_mount', path);
}

/** mount_setattr(2) on the mount behind `mount`: attributes to set and clear, propagation (MS_PRIVATE...), a user namespace with MOUNT_ATTR_IDMAP. */
export function mountSetattr(
  mount: FdLike,
  change: { set?: number; clear?: number; propagation?: number; userns?: FdLike; recursive?: boolean },
): void {
  const attr = new BigUint64Array(4);
  attr[0] = BigInt(change.set ?? 0);
  attr[1] = BigInt(change.clear ?? 0);
  attr[2] = BigInt(change.propagation ?? 0);
  attr[3] = change.userns === undefined ? 0n : BigInt(numberOf(change.userns));
  const flags = AT_EMPTY_PATH | (change.recursive === true ? AT_RECURSIVE : 0);
  check(addon().mountSetattr(numberOf(mount), '', flags, attr), 'mount_setattr');
}

/** fsopen(2): a context in which a file system of `type` is configured. Errors: `unsupported` for a type the kernel lacks. */
export function fsopen(type: string): Fd {
  return Fd.adopt(check(addon().fsopen(type, FSOPEN_CLOEXEC), 'fsopen', type));
}

/** One parameter of a file system context; a string without value is a flag. Errors: by errno, with the kernel's own words. */
export function fsconfig(context: FdLike, key: string, value?: string | { readonly fd: FdLike }): void {
  const number = numberOf(context);
  let result: number;
  if (value === undefined) result = addon().fsconfig(number, FSCONFIG_SET_FLAG, key, null, 0);
  else if (typeof value === 'string') result = addon().fsconfig(number, FSCONFIG_SET_STRING, key, value, 0);
  else result = addon().fsconfig(number, FSCONFIG_SET_FD, key, null, numberOf(value.fd));
  if (result < 0)
    throw new SysError('fsconfig', -result, typeof value === 'string' ? `${key}=${value}` : key, contextLog(context));
}

/** Makes the superblock a context describes. Errors: by errno, with the kernel's own words. */
export function fsconfigCreate(context: FdLike): void {
  const result = addon().fsconfig(numberOf(context), FSCONFIG_CMD_CREATE, null, null, 0);
  if (result < 0) throw new SysError('fsconfig', -result, 'CMD_CREATE', contextLog(context));
}

/** fsmount(2): a detached mount of a created context; `attributes` are MOUNT_ATTR_*. */
export function fsmount(context: FdLike, attributes = 0): Fd {
  const result = addon().fsmount(numberOf(context), FSMOUNT_CLOEXEC, attributes);
  if (result < 0) throw new SysError('fsmount', -result, undefined, contextLog(context));
  return Fd.adopt(result);
}

/** What the kernel wrote about a context so far, e.g. "overlay: No changes allowed in reconfigure"; "" when nothing. */
export function contextLog(context: FdLike): string {
  const lines: string[] = [];
  const into = Buffer.allocUnsafe(1024);
  for (let length = 1; length > 0 && lines.length < 32;) {
    length = addon().read(numberOf(context), into);
    if (length > 0)
      lines.push(
        into
          .toString('utf8', 0, length)
          .replace(/^[ewi] /, '')
          .trim(),
      );
  }
  return lines.join('; ');
}

/** umount2(2) with MNT_* flags; a symlink at the end is never followed. */
export function umount(path: Name, flags = 0): void {
  check(addon().umount2(path, flags | UMOUNT_NOFOLLOW), 'umount2', path);
}
