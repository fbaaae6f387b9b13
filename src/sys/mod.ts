/**
 * Linux, as far as Node does not offer it: the only folder that touches native code (build/tare.node, build/tare-helper).
 *
 * Everything here is one system call or the smallest promise that several make together; there is no policy. A call
 * fails with a `SysError` (the call, errno, path; `kind` follows from the errno). Descriptors are owned by `Fd`, a
 * `Disposable`; wherever one is only used, `Fd | number` will do. Importing costs nothing: the addon is loaded by the first call.
 *
 * Read in this order: error, fd, open (openat2), at and stat and xattr (names below a directory); mount and
 * mount-detached (a root file system as a descriptor); lock (who holds a file, also after kill -9); process and socket
 * (starting the helper, passing descriptors); monitor/ (talking to it); plan/ (the program it executes); probe (what this kernel can do).
 */
export type { Name } from './addon.ts';
export {
  fchmod,
  fchmodat,
  fchownat,
  linkat,
  makedev,
  mkdirat,
  mknodat,
  readlinkat,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RENAME_WHITEOUT,
  renameat2,
  rmdirat,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  symlinkat,
  unlinkat,
  utimensat,
} from './at.ts';
export {
  attachDeviceProgram,
  attachedDevicePrograms,
  BPF_F_ALLOW_MULTI,
  BPF_F_REPLACE,
  detachDeviceProgram,
  loadDeviceProgram,
  programById,
} from './bpf.ts';
export { isErrno, SysError, sysErrorOf } from './error.ts';
export { duplicate, Fd, type FdLike, numberOf } from './fd.ts';
export { isLocked, type LockMode, lockWait, lockWaitSync, tryLock, unlock } from './lock.ts';
export { memfdCreate, memfdSealed, writeFully } from './memfd.ts';
export { mountDetached, type OverlayWay, overlayWay } from './mount-detached.ts';
export {
  contextLog,
  fsconfig,
  fsconfigCreate,
  fsmount,
  fsopen,
  MNT_DETACH,
  MNT_FORCE,
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_IDMAP,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  mountSetattr,
  moveMount,
  MS_PRIVATE,
  MS_SHARED,
  MS_SLAVE,
  MS_UNBINDABLE,
  openTree,
  umount,
  UMOUNT_NOFOLLOW,
} from './mount.ts';
export { type MountEntry, parseMountinfo, readMountinfo } from './mountinfo.ts';
export {
  AT_FDCWD,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  openat2,
  openDirectory,
  openPath,
  type OpenHow,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from './open.ts';
export { type Features, kernelFeatures } from './probe.ts';
export {
  helperBinary,
  helperPath,
  parseProcessStat,
  pidfdOpen,
  pidfdSendSignal,
  exitNow,
  processStat,
  type ProcessStat,
  sealedProgram,
  type Sealing,
  spawnHelper,
  startHelper,
  type ComingHelper,
  startTime,
} from './process.ts';
export { streamOf } from './read-stream.ts';
export { removeTree, removeTreeSync } from './remove-tree.ts';
export {
  connectUnix,
  listenUnix,
  MAX_FDS_PER_MESSAGE,
  peerCredentials,
  type Received,
  recvFds,
  sendFds,
  setReceiveTimeout,
  socketpair,
  tryReceive,
  tryRecvFds,
  trySendFds,
} from './socket.ts';
export {
  AT_EMPTY_PATH,
  AT_RECURSIVE,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  BTRFS_SUPER_MAGIC,
  CGROUP2_SUPER_MAGIC,
  CGROUP_SUPER_MAGIC,
  EXT4_SUPER_MAGIC,
  fstat,
  OVERLAYFS_SUPER_MAGIC,
  PROC_SUPER_MAGIC,
  type Stat,
  statfs,
  type StatFs,
  statx,
  syncfs,
  syncfsSync,
  TMPFS_MAGIC,
  XFS_SUPER_MAGIC,
} from './stat.ts';
export { isTerminal, RawMode, setWindowSize, windowSize, type WindowSize } from './tty.ts';
export { getXattr, listXattrs, removeXattr, setXattr, XATTR_CREATE, XATTR_REPLACE, type XattrTarget } from './xattr.ts';
export * from './monitor/mod.ts';
export { type DecodedPlan, decodePlan } from './plan/decode.ts';
export { encodePlan } from './plan/encode.ts';
export { printOp, printPlan, type PrintOptions } from './plan/print.ts';
export { NO_FD, type Op, type OpName, planConstants } from './plan/schema.ts';
export { mapIds, userNamespaceFd } from './user-namespace.ts';
