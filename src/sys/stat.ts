import { addon, type Name } from './addon.ts';
import { check } from './error.ts';
import { type FdLike, numberOf } from './fd.ts';

export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_REMOVEDIR = 0x200;
export const AT_SYMLINK_FOLLOW = 0x400;
export const AT_NO_AUTOMOUNT = 0x800;
export const AT_EMPTY_PATH = 0x1000;
export const AT_RECURSIVE = 0x8000;

const STATX_BASIC_STATS = 0x7ff;
const STATX_MNT_ID = 0x1000;
const STATX_ATTR_MOUNT_ROOT = 0x2000;

/** What statx(2) says. Times are nanoseconds since 1970. */
export interface Stat {
  /** File type and permission bits (S_IF* included). */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly inode: bigint;
  readonly sizeBytes: number;
  /** Allocated, in units of 512 bytes. */
  readonly blocks: number;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  /** Of a device node. */
  readonly rdevMajor: number;
  readonly rdevMinor: number;
  /** Of the file system. */
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** The mount it was reached through (as in mountinfo), or 0 where the kernel does not tell. */
  readonly mountId: bigint;
  /** It is the root of a mount. */
  readonly isMountRoot: boolean;
}

const buffer = new DataView(new ArrayBuffer(256));

function timeNs(offset: number): bigint {
  return buffer.getBigInt64(offset, true) * 1_000_000_000n + BigInt(buffer.getUint32(offset + 8, true));
}

/** statx(2) of `path` below `dir`; follows a symlink at the end unless flags has AT_SYMLINK_NOFOLLOW. Errors: by errno. */
export function statx(dir: FdLike, path: Name, flags = 0): Stat {
  check(
    addon().statx(numberOf(dir), path, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_MNT_ID, buffer),
    'statx',
    path,
  );
  const known = buffer.getUint32(0, true);
  return {
    mode: buffer.getUint16(28, true),
    links: buffer.getUint32(16, true),
    uid: buffer.getUint32(20, true),
    gid: buffer.getUint32(24, true),
    inode: buffer.getBigUint64(32, true),
    sizeBytes: Number(buffer.getBigUint64(40, true)),
    blocks: Number(buffer.getBigUint64(48, true)),
    atimeNs: timeNs(64),
    ctimeNs: timeNs(96),
    mtimeNs: timeNs(112),
    rdevMajor: buffer.getUint32(128, true),
    rdevMinor: buffer.getUint32(132, true),
    deviceMajor: buffer.getUint32(136, true),
    deviceMinor: buffer.getUint32(140, true),
    mountId: (known & STATX_MNT_ID) === 0 ? 0n : buffer.getBigUint64(144, true),
    isMountRoot: (buffer.getUint32(8, true) & STATX_ATTR_MOUNT_ROOT) !== 0,
  };
}

/** statx(2) of an open descriptor, O_PATH ones included. Errors: by errno. */
export function fstat(fd: FdLike): Stat {
  return statx(fd, '', AT_EMPTY_PATH);
}

/** What statfs(2) says of the file system behind `fd`. */
export interface StatFs {
  /** The file system's magic number, e.g. OVERLAYFS_SUPER_MAGIC. */
  readonly type: number;
  readonly blockSizeBytes: number;
  readonly sizeBytes: number;
  readonly freeBytes: number;
  /** Free for unprivileged users. */
  readonly availableBytes: number;
  readonly inodes: number;
  readonly inodesFree: number;
  /** ST_* bits of the mount: 1 read-only, 2 nosuid, 4 nodev, 8 noexec. */
  readonly flags: number;
}

export const EXT4_SUPER_MAGIC = 0xef53;
export const BTRFS_SUPER_MAGIC = 0x9123683e;
export const XFS_SUPER_MAGIC = 0x58465342;
export const TMPFS_MAGIC = 0x01021994;
export const OVERLAYFS_SUPER_MAGIC = 0x794c7630;
export const PROC_SUPER_MAGIC = 0x9fa0;
export const CGROUP_SUPER_MAGIC = 0x27e0eb;
export const CGROUP2_SUPER_MAGIC = 0x63677270;

/** fstatfs(2). Errors: by errno. */
export function statfs(fd: FdLike): StatFs {
  const view = new DataView(new ArrayBuffer(120));
  check(addon().fstatfs(numberOf(fd), view), 'fstatfs');
  const word = (index: number): number => Number(view.getBigUint64(index * 8, true));
  const blockSizeBytes = word(1);
  return {
    type: view.getUint32(0, true),
    blockSizeBytes,
    sizeBytes: word(2) * blockSizeBytes,
    freeBytes: word(3) * blockSizeBytes,
    availableBytes: word(4) * blockSizeBytes,
    inodes: word(5),
    inodesFree: word(6),
    flags: word(10),
  };
}

/** Writes the file system behind `fd` to its disk, on a pool thread. Errors: by errno. */
export async function syncfs(fd: FdLike): Promise<void> {
  check(await addon().syncfsLater(numberOf(fd)), 'syncfs');
}

/** `syncfs` on this thread: blocks until the disk has it. Errors: by errno. */
export function syncfsSync(fd: FdLike): void {
  check(addon().syncfs(numberOf(fd)), 'syncfs');
}
