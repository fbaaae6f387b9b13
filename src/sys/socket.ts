import { basename, dirname } from 'node:path';
import { TareError } from '../base/errors.ts';
import { addon } from './addon.ts';
import { check, SysError } from './error.ts';
import { Fd, type FdLike, numberOf } from './fd.ts';
import { openPath } from './open.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_RCVTIMEO = 20;
const MSG_DONTWAIT = 0x40;
const EINTR = 4;
const EAGAIN = 11;
/** sockaddr_un's sun_path, with its NUL. */
const SUN_PATH_BYTES = 108;

/** No message carries more descriptors (the kernel's SCM_MAX_FD). */
export const MAX_FDS_PER_MESSAGE = 253;

/** A connected pair of unix stream sockets. Errors: `exhausted`. */
export function socketpair(options: { nonBlocking?: boolean } = {}): [Fd, Fd] {
  const pair = new Int32Array(2);
  check(
    addon().socketpair(
      AF_UNIX,
      SOCK_STREAM | SOCK_CLOEXEC | (options.nonBlocking === true ? SOCK_NONBLOCK : 0),
      0,
      pair,
    ),
    'socketpair',
  );
  const [left, right] = pair as unknown as [number, number];
  return [Fd.adopt(left), Fd.adopt(right)];
}

/**
 * Sends all of `bytes`, the descriptors attached to the first of them. At least one byte. Errors: by errno;
 * `unavailable` when the peer is gone, or when a non-blocking socket is full (see `trySendFds`).
 */
export function sendFds(fd: FdLike, bytes: Uint8Array, fds: readonly FdLike[] = []): void {
  let at = 0;
  do {
    const sent = trySend(fd, bytes.subarray(at), at === 0 ? fds : [], 0);
    if (sent === undefined) throw new SysError('sendmsg', EAGAIN);
    at += sent;
  } while (at < bytes.length);
}

/** One non-blocking send: how many bytes went (the descriptors with the first), or undefined when the socket is full. Errors: by errno. */
export function trySendFds(fd: FdLike, bytes: Uint8Array, fds: readonly FdLike[] = []): number | undefined {
  return trySend(fd, bytes, fds, MSG_DONTWAIT);
}

function trySend(fd: FdLike, bytes: Uint8Array, fds: readonly FdLike[], flags: number): number | undefined {
  if (bytes.length === 0) throw new TareError('invalid', 'Cannot send message: it is empty');
  if (fds.length > MAX_FDS_PER_MESSAGE) {
    throw new TareError('invalid', `Cannot send message: ${fds.length} descriptors, at most ${MAX_FDS_PER_MESSAGE}`);
  }
  const numbers = fds.length === 0 ? null : Int32Array.from(fds, numberOf);
  for (;;) {
    const result = addon().sendmsg(numberOf(fd), bytes, numbers, flags);
    if (result === -EINTR) continue;
    if (result === -EAGAIN) return undefined;
    return check(result, 'sendmsg');
  }
}

/** What one receive brought. No bytes: the peer closed. The descriptors are the caller's. */
export interface Received {
  readonly bytes: Buffer;
  readonly fds: Fd[];
}

/**
 * One receive of at most `maxBytes` and `maxFds`, blocking unless the socket is non-blocking. When more descriptors
 * came than allowed, all are closed. Errors: `invalid` then; `deadline` after SO_RCVTIMEO or on a non-blocking socket without data; by errno.
 */
export function recvFds(fd: FdLike, maxBytes: number, maxFds: number): Received {
  const received = receive(fd, maxBytes, maxFds, 0);
  if (received === undefined) throw new TareError('deadline', 'Cannot receive message: nothing came in time');
  return received;
}

/** `recvFds` that never blocks: undefined when nothing is there. */
export function tryRecvFds(fd: FdLike, maxBytes: number, maxFds: number): Received | undefined {
  return receive(fd, maxBytes, maxFds, MSG_DONTWAIT);
}

const noFds = new Int32Array(1);

/** One receive that never blocks: how many bytes came into `into`, 0 when the peer closed, undefined when nothing is there. Descriptors are refused. Errors: by errno. */
export function tryReceive(fd: FdLike, into: Buffer): number | undefined {
  for (;;) {
    const result = addon().recvmsg(numberOf(fd), into, noFds, MSG_DONTWAIT);
    if (result === -EINTR) continue;
    return result === -EAGAIN ? undefined : check(result, 'recvmsg');
  }
}

function receive(fd: FdLike, maxBytes: number, maxFds: number, flags: number): Received | undefined {
  const bytes = Buffer.allocUnsafe(maxBytes);
  const out = new Int32Array(1 + maxFds);
  for (;;) {
    const result = addon().recvmsg(numberOf(fd), bytes, out, flags);
    if (result === -EINTR) continue;
    if (result === -EAGAIN) return undefined;
    if (result === -90)
      throw new TareError('invalid', `Cannot receive message: it carries more than ${maxFds} descriptors`);
    const length = check(result, 'recvmsg');
    return {
      bytes: bytes.subarray(0, length),
      fds: Array.from(out.subarray(1, 1 + (out[0] ?? 0)), (number) => Fd.adopt(number)),
    };
  }
}

/** Makes blocking receives of the socket end with `deadline` after `timeoutMs` (0: never). */
export function setReceiveTimeout(fd: FdLike, timeoutMs: number): void {
  const value = BigInt64Array.of(BigInt(Math.floor(timeoutMs / 1000)), BigInt((timeoutMs % 1000) * 1000));
  check(addon().setsockopt(numberOf(fd), SOL_SOCKET, SO_RCVTIMEO, value), 'setsockopt(SO_RCVTIMEO)');
}

function addressOf(path: string): Buffer {
  const address = Buffer.alloc(2 + Buffer.byteLength(path) + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(path, 2);
  return address;
}

/** Calls `use` with a socket address for `path`; one that is too long goes through its directory's descriptor. */
function withAddress<T>(path: string, use: (address: Buffer) => T): T {
  if (path.includes('\0')) throw new TareError('invalid', 'Cannot use socket: NUL byte in its path');
  if (Buffer.byteLength(path) < SUN_PATH_BYTES) return use(addressOf(path));
  using dir = openPath(dirname(path), { follow: true });
  const short = `/proc/self/fd/${dir.number}/${basename(path)}`;
  if (Buffer.byteLength(short) >= SUN_PATH_BYTES)
    throw new TareError('invalid', `Cannot use socket ${path}: its name is too long`);
  return use(addressOf(short));
}

/** Connects to a unix stream socket; the path may be of any length. Errors: `not-found`, `unavailable` (nobody listens), `denied`; by errno. */
export function connectUnix(path: string): Fd {
  using fd = Fd.adopt(check(addon().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 'socket'));
  check(
    withAddress(path, (address) => addon().connect(fd.number, address)),
    'connect',
    path,
  );
  return Fd.adopt(fd.release());
}

/** Listens on a new unix stream socket at `path`. Errors: by errno (`internal` EADDRINUSE when the path exists). */
export function listenUnix(path: string, backlog = 64): Fd {
  using fd = Fd.adopt(check(addon().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 'socket'));
  check(
    withAddress(path, (address) => addon().bind(fd.number, address)),
    'bind',
    path,
  );
  check(addon().listen(fd.number, backlog), 'listen', path);
  return Fd.adopt(fd.release());
}

/** Who connected a unix socket, as the kernel saw it then. */
export function peerCredentials(fd: FdLike): { readonly pid: number; readonly uid: number; readonly gid: number } {
  const credentials = new Int32Array(3);
  check(
    addon().getsockopt(numberOf(fd), SOL_SOCKET, SO_PEERCRED, credentials, Int32Array.of(12)),
    'getsockopt(SO_PEERCRED)',
  );
  const [pid, uid, gid] = credentials as unknown as [number, number, number];
  return { pid, uid: uid >>> 0, gid: gid >>> 0 };
}
