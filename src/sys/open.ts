import { constants } from 'node:fs';
import { addon, type Name } from './addon.ts';
import { check } from './error.ts';
import { Fd, type FdLike, numberOf } from './fd.ts';

/** "Relative to the current directory" in place of a directory descriptor; with absolute paths it has no effect. */
export const AT_FDCWD = -100;

export const O_RDONLY = constants.O_RDONLY;
export const O_WRONLY = constants.O_WRONLY;
export const O_RDWR = constants.O_RDWR;
export const O_CREAT = constants.O_CREAT;
export const O_EXCL = constants.O_EXCL;
export const O_TRUNC = constants.O_TRUNC;
export const O_APPEND = constants.O_APPEND;
export const O_NONBLOCK = constants.O_NONBLOCK;
export const O_NOCTTY = constants.O_NOCTTY;
/** These two differ between x64 and arm64. */
export const O_DIRECTORY = constants.O_DIRECTORY;
export const O_NOFOLLOW = constants.O_NOFOLLOW;
export const O_PATH = 0o10000000;
export const O_CLOEXEC = 0o2000000;
export const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

/** openat2(2): no crossing of mount points. */
export const RESOLVE_NO_XDEV = 0x01;
/** openat2(2): no links of procfs. */
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
/** openat2(2): EXDEV for anything that would leave the directory. */
export const RESOLVE_BENEATH = 0x08;
/** openat2(2): the directory is "/" for the whole walk. */
export const RESOLVE_IN_ROOT = 0x10;

const EAGAIN = 11;
/** struct open_how as u32 pairs: flags, mode, resolve. One buffer serves all calls: they are synchronous. */
const how = new Uint32Array(6);

/** How `openat2` opens. */
export interface OpenHow {
  /** O_* bits. */
  readonly flags: number;
  /** Permission bits of a file it creates, before the umask. */
  readonly mode?: number;
  /** RESOLVE_* bits. */
  readonly resolve?: number;
}

/**
 * openat2(2). O_CLOEXEC is always set. A walk that raced a rename (EAGAIN with RESOLVE_BENEATH or RESOLVE_IN_ROOT) is tried again, 64 times.
 * Errors: by errno.
 */
export function openat2(dir: FdLike, path: Name, options: OpenHow): Fd {
  const { openat2: call } = addon();
  const from = numberOf(dir);
  how[0] = (options.flags | O_CLOEXEC) >>> 0;
  how[2] = options.mode ?? 0;
  how[4] = options.resolve ?? 0;
  let result = call(from, path, how);
  for (let tries = 0; result === -EAGAIN && how[4] !== 0 && tries < 64; tries++) result = call(from, path, how);
  return Fd.adopt(check(result, 'openat2', path));
}

/** A handle on `path` that grants nothing but its place (O_PATH). Follows no symlink at the end unless `follow`; with `directory` anything else is ENOTDIR. */
export function openPath(
  path: Name,
  options: { dir?: FdLike; directory?: boolean; follow?: boolean; resolve?: number } = {},
): Fd {
  return openat2(options.dir ?? AT_FDCWD, path, {
    flags: O_PATH | (options.follow === true ? 0 : O_NOFOLLOW) | (options.directory === true ? O_DIRECTORY : 0),
    resolve: options.resolve ?? 0,
  });
}

/** Opens a directory for reading; a symlink at the end is followed. */
export function openDirectory(path: Name, options: { dir?: FdLike; resolve?: number } = {}): Fd {
  return openat2(options.dir ?? AT_FDCWD, path, { flags: O_RDONLY | O_DIRECTORY, resolve: options.resolve ?? 0 });
}
