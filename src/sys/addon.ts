import { nativeDir } from './native.ts';

/** What a call takes as a path or name: text, or bytes for names that are no UTF-8. */
export type Name = string | Uint8Array;
type Bytes = NodeJS.ArrayBufferView;

/** build/tare.node: every function returns its result, or -errno. */
export interface Addon {
  close(fd: number): number;
  leave(code: number): number;
  read(fd: number, into: Bytes): number;
  write(fd: number, bytes: Bytes): number;
  fcntl(fd: number, command: number, value: number): number;
  fcntlLock(fd: number, command: number, flock: Bytes): number;
  ioctl(fd: number, request: number, value: Bytes): number;
  ioctlNumber(fd: number, request: number, value: number): number;
  ftruncate(fd: number, sizeBytes: number): number;
  syncfs(fd: number): number;
  syncfsLater(fd: number): Promise<number>;
  openat2(dir: number, path: Name, how: Bytes): number;
  mkdirat(dir: number, name: Name, mode: number): number;
  mknodat(dir: number, name: Name, mode: number, device: number | bigint): number;
  symlinkat(to: Name, dir: number, name: Name): number;
  linkat(fromDir: number, from: Name, toDir: number, to: Name, flags: number): number;
  unlinkat(dir: number, name: Name, flags: number): number;
  renameat2(fromDir: number, from: Name, toDir: number, to: Name, flags: number): number;
  readlinkat(dir: number, name: Name, into: Bytes): number;
  fchownat(dir: number, name: Name, uid: number, gid: number, flags: number): number;
  fchmod(fd: number, mode: number): number;
  fchmodat(dir: number, name: Name, mode: number): number;
  utimensat(dir: number, name: Name | null, times: Bytes, flags: number): number;
  statx(dir: number, path: Name, flags: number, mask: number, into: Bytes): number;
  fstatfs(fd: number, into: Bytes): number;
  fgetxattr(fd: number, name: Name, into: Bytes | null): number;
  fsetxattr(fd: number, name: Name, value: Bytes, flags: number): number;
  flistxattr(fd: number, into: Bytes | null): number;
  fremovexattr(fd: number, name: Name): number;
  lgetxattr(path: Name, name: Name, into: Bytes | null): number;
  lsetxattr(path: Name, name: Name, value: Bytes, flags: number): number;
  llistxattr(path: Name, into: Bytes | null): number;
  lremovexattr(path: Name, name: Name): number;
  openTree(dir: number, path: Name, flags: number): number;
  moveMount(fromDir: number, from: Name, toDir: number, to: Name, flags: number): number;
  mountSetattr(dir: number, path: Name, flags: number, attr: Bytes): number;
  fsopen(type: string, flags: number): number;
  fsconfig(fd: number, command: number, key: string | null, value: Name | null, aux: number): number;
  fsmount(fd: number, flags: number, attributes: number): number;
  mount(source: Name | null, target: Name, type: string | null, flags: number, data: Name | null): number;
  umount2(target: Name, flags: number): number;
  memfdCreate(name: string, flags: number): number;
  pidfdOpen(pid: number, flags: number): number;
  pidfdSendSignal(pidfd: number, signal: number, info: null, flags: number): number;
  socket(domain: number, type: number, protocol: number): number;
  socketpair(domain: number, type: number, protocol: number, into: Bytes): number;
  connect(fd: number, address: Bytes): number;
  bind(fd: number, address: Bytes): number;
  listen(fd: number, backlog: number): number;
  getsockopt(fd: number, level: number, option: number, into: Bytes, length: Bytes): number;
  setsockopt(fd: number, level: number, option: number, value: Bytes): number;
  bpf(command: number, attr: Bytes): number;
  seccomp(operation: number, flags: number, value: Bytes | null): number;
  landlockCreateRuleset(attr: Bytes | null, flags: number): number;
  clone3(args: Bytes): number;
  /** "ENOENT No such file or directory". */
  errnoText(errno: number): string | undefined;
  spawn(executable: number, name: string, fds: Int32Array): object | number;
  spawnSeparate(handle: object): number;
  spawned(handle: object): number;
  mountElsewhere(
    type: string,
    source: Name,
    flags: number,
    options: Name,
    handles: Int32Array,
    trees: Int32Array,
  ): number;
  userNamespace(uidMap: string, gidMap: string): number;
  socketIn(netns: number, domain: number, type: number, protocol: number, userns: number): number;
  openIn(netns: number, path: string, flags: number): number;
  closeAside(fd: number): number;
  cloneIn(mntns: number, path: string): number;
  sendmsg(fd: number, bytes: Bytes, fds: Int32Array | null, flags: number): number;
  recvmsg(fd: number, into: Bytes, fds: Int32Array, flags: number): number;
  lockWait(fd: number, type: number, done: (result: number) => void): object | number;
  lockCancel(handle: object): number;
  watchOpen(fd: number, on: (events: number) => void): object | number;
  watchSet(handle: object, events: number, ref: number): number;
  watchClose(handle: object): number;
  bpfProgLoad(type: number, code: Bytes, license: string, log: Bytes | null): number;
  bpfProgQuery(cgroup: number, type: number, ids: Uint32Array): number;
  removeSome(path: Name, budget: number): number;
  mapText(path: string): string | number;
  mapBytes(path: string): Buffer | number;
}

/** Where it is kept: the entry of the command line is a bundle of its own, and shares it with the rest. */
const shared = globalThis as { [key: symbol]: Addon | undefined };
const key = Symbol.for(`tare ${import.meta.dirname}/../../build/tare.node`);

/** The native addon, loaded at the first call (about 0.3 ms). Errors: `not-found` when it is missing; Node's own when it cannot be loaded. */
export function addon(): Addon {
  const known = shared[key];
  if (known !== undefined) return known;
  const module = { exports: {} };
  process.dlopen(module, `${nativeDir()}/build/tare.node`);
  return (shared[key] = module.exports as Addon);
}
