import { addon, type Name } from './addon.ts';
import { check } from './error.ts';
import { type FdLike, numberOf } from './fd.ts';
import { AT_FDCWD } from './open.ts';
import { AT_EMPTY_PATH, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW } from './stat.ts';

const ENOENT = 2;

/*
 * Names below a directory descriptor. No call here follows a symlink at the end; a name with slashes is walked by the
 * kernel as usual, so names taken from an image must be single components. Errors of all: by errno.
 */

/** renameat2(2): fail with EEXIST instead of replacing. */
export const RENAME_NOREPLACE = 1;
/** renameat2(2): swap the two. */
export const RENAME_EXCHANGE = 2;
/** renameat2(2): leave a whiteout behind. */
export const RENAME_WHITEOUT = 4;

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

/** mkdirat(2); `mode` passes through the umask. */
export function mkdirat(dir: FdLike, name: Name, mode: number): void {
  check(addon().mkdirat(numberOf(dir), name, mode), 'mkdirat', name);
}

/** Makes symlink `name` that says `to`. */
export function symlinkat(to: Name, dir: FdLike, name: Name): void {
  check(addon().symlinkat(to, numberOf(dir), name), 'symlinkat', name);
}

/** Hard link; with `from` "" links what `fromDir` itself is open on: a file of O_TMPFILE, for one. */
export function linkat(fromDir: FdLike, from: Name, toDir: FdLike, to: Name): void {
  const { linkat: call } = addon();
  const into = numberOf(toDir);
  let result = call(numberOf(fromDir), from, into, to, from.length === 0 ? AT_EMPTY_PATH : 0);
  // Without CAP_DAC_READ_SEARCH the kernel wants the long way.
  if (result === -ENOENT && from.length === 0)
    result = call(AT_FDCWD, `/proc/self/fd/${numberOf(fromDir)}`, into, to, AT_SYMLINK_FOLLOW);
  check(result, 'linkat', to);
}

/** Removes a file, symlink or node. */
export function unlinkat(dir: FdLike, name: Name): void {
  check(addon().unlinkat(numberOf(dir), name, 0), 'unlinkat', name);
}

/** Removes an empty directory. */
export function rmdirat(dir: FdLike, name: Name): void {
  check(addon().unlinkat(numberOf(dir), name, AT_REMOVEDIR), 'unlinkat', name);
}

/** renameat2(2) with RENAME_* flags. Atomic. */
export function renameat2(fromDir: FdLike, from: Name, toDir: FdLike, to: Name, flags = 0): void {
  check(addon().renameat2(numberOf(fromDir), from, numberOf(toDir), to, flags), 'renameat2', to);
}

/** What a symlink says, as bytes. */
export function readlinkat(dir: FdLike, name: Name): Buffer {
  const into = Buffer.allocUnsafe(4096);
  return into.subarray(0, check(addon().readlinkat(numberOf(dir), name, into), 'readlinkat', name));
}

/** mknodat(2): `mode` includes S_IF* and passes through the umask. */
export function mknodat(
  dir: FdLike,
  name: Name,
  mode: number,
  device: { major: number; minor: number } = { major: 0, minor: 0 },
): void {
  check(addon().mknodat(numberOf(dir), name, mode, makedev(device.major, device.minor)), 'mknodat', name);
}

/** The kernel's 32-bit device number of mknod(2). */
export function makedev(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** Changes owner and group (-1: leave) of `name`, or of `dir` itself for "". */
export function fchownat(dir: FdLike, name: Name, uid: number, gid: number): void {
  check(
    addon().fchownat(numberOf(dir), name, uid, gid, AT_SYMLINK_NOFOLLOW | (name.length === 0 ? AT_EMPTY_PATH : 0)),
    'fchownat',
    name,
  );
}

/** chmod of an open descriptor (not an O_PATH one). */
export function fchmod(fd: FdLike, mode: number): void {
  check(addon().fchmod(numberOf(fd), mode), 'fchmod');
}

/** chmod below `dir`. The only call here that *follows* a symlink: Linux keeps no mode for one. */
export function fchmodat(dir: FdLike, name: Name, mode: number): void {
  check(addon().fchmodat(numberOf(dir), name, mode), 'fchmodat', name);
}

/** Sets access and modification time, nanoseconds since 1970, of `name`, or of `dir` itself for "". */
export function utimensat(dir: FdLike, name: Name, atimeNs: bigint, mtimeNs: bigint): void {
  const times = new BigInt64Array(4);
  [atimeNs, mtimeNs].forEach((ns, index) => {
    const nanoseconds = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
    times[index * 2] = (ns - nanoseconds) / 1_000_000_000n;
    times[index * 2 + 1] = nanoseconds;
  });
  check(
    addon().utimensat(numberOf(dir), name, times, AT_SYMLINK_NOFOLLOW | (name.length === 0 ? AT_EMPTY_PATH : 0)),
    'utimensat',
    name,
  );
}
