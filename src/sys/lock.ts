import { addon } from './addon.ts';
import { check, SysError } from './error.ts';
import { duplicate, type FdLike, numberOf } from './fd.ts';
import { TareError } from '../base/errors.ts';
import { fstat } from './stat.ts';

/** `read` is shared, `write` exclusive. A write lock needs a descriptor open for writing, a read lock one open for reading. */
export type LockMode = 'read' | 'write';

const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_OFD_SETLKW = 38;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
const EACCES = 13;
const EAGAIN = 11;
const EINTR = 4;

/** struct flock over the whole file; its first 16 bits are the type. */
function wholeFile(type: number): Int16Array {
  const flock = new Int16Array(16);
  flock[0] = type;
  return flock;
}

const typeOf = (mode: LockMode): number => (mode === 'read' ? F_RDLCK : F_WRLCK);

/**
 * Tries to take an open-file-description lock on the whole file: true when held now. A lock already held through this
 * description is converted. It belongs to the description: duplicates (also in other processes) share it, and it ends
 * when the last of them is closed, also by kill -9. Errors: by errno (EBADF when not open for that mode).
 */
export function tryLock(fd: FdLike, mode: LockMode): boolean {
  const result = addon().fcntlLock(numberOf(fd), F_OFD_SETLK, wholeFile(typeOf(mode)));
  if (result === -EAGAIN || result === -EACCES) return false;
  check(result, 'fcntl(F_OFD_SETLK)');
  return true;
}

/** Releases the lock held through this open file description. */
export function unlock(fd: FdLike): void {
  check(addon().fcntlLock(numberOf(fd), F_OFD_SETLK, wholeFile(F_UNLCK)), 'fcntl(F_OFD_SETLK)');
}

/** True when somebody holds a lock on the file through *another* open file description. Takes nothing. */
export function isLocked(fd: FdLike): boolean {
  const flock = wholeFile(F_WRLCK);
  check(addon().fcntlLock(numberOf(fd), F_OFD_GETLK, flock), 'fcntl(F_OFD_GETLK)');
  return flock[0] !== F_UNLCK;
}

/** Takes the lock, blocking the whole JavaScript thread meanwhile: only for critical sections that all holders keep short. */
export function lockWaitSync(fd: FdLike, mode: LockMode): void {
  for (;;) {
    const result = addon().fcntlLock(numberOf(fd), F_OFD_SETLKW, wholeFile(typeOf(mode)));
    if (result === -EINTR) continue;
    check(result, 'fcntl(F_OFD_SETLKW)');
    return;
  }
}

/** The waits of this process per file, first come first served: only the first of each has a thread in the kernel. */
const queues = new Map<string, Waiter[]>();

interface Waiter {
  /** Starts the kernel wait; called when the waiter becomes the first of its queue. */
  start(): void;
}

function leave(key: string, waiter: Waiter): void {
  const queue = queues.get(key);
  if (queue === undefined) return;
  const at = queue.indexOf(waiter);
  if (at >= 0) queue.splice(at, 1);
  if (queue.length === 0) queues.delete(key);
  else if (at === 0) queue[0]?.start();
}

/**
 * Takes the lock, waiting as long as it takes on a thread of its own (not libuv's pool). Waits of this process on one
 * file are served in the order they were made. `fd` may be closed meanwhile, which then gives the lock up as soon as it is had.
 *
 * Errors: `cancelled` when `signal` aborts first (nothing is then held, and the process is not kept alive); by errno.
 */
export async function lockWait(fd: FdLike, mode: LockMode, options: { signal?: AbortSignal } = {}): Promise<void> {
  const { signal } = options;
  const cancelled = (): TareError =>
    new TareError('cancelled', 'Cannot lock file: the wait was cancelled', { cause: signal?.reason });
  if (signal?.aborted === true) throw cancelled();
  const stat = fstat(fd);
  const key = `${stat.deviceMajor}:${stat.deviceMinor}:${stat.inode}`;
  if (!queues.has(key) && tryLock(fd, mode)) return;
  // The description of now, even when the number is closed and used again before this waiter's turn.
  using own = duplicate(fd);
  await new Promise<void>((resolve, reject) => {
    let handle: object | undefined;
    let aborted = false;
    const settle = (result: number): void => {
      signal?.removeEventListener('abort', onAbort);
      leave(key, waiter);
      if (result === 0 && !aborted) return resolve();
      if (result === 0) unlock(own);
      reject(aborted ? cancelled() : new SysError('fcntl(F_OFD_SETLKW)', -result));
    };
    const onAbort = (): void => {
      aborted = true;
      if (handle === undefined) settle(-EINTR);
      else addon().lockCancel(handle);
    };
    const waiter: Waiter = {
      start: () => {
        const started = addon().lockWait(own.number, typeOf(mode), settle);
        if (typeof started === 'number') settle(started);
        else handle = started;
      },
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const queue = queues.get(key);
    if (queue === undefined) {
      queues.set(key, [waiter]);
      waiter.start();
    } else queue.push(waiter);
  });
}
