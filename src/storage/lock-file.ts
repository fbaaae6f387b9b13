import { constants, openSync, readSync, writeSync } from 'node:fs';
import { Fd } from '../sys/fd.ts';
import { type LockMode, lockWait, tryLock } from '../sys/lock.ts';
import { codeOf } from './_file.ts';
import { randomBytes } from '../sys/random-bytes.ts';

/** What a lock file begins with. */
export const MARK_BYTES = 64;

/**
 * A lock file of containers/storage, held: an open-file-description lock on the whole file, which excludes the POSIX locks of the Go tools. Its first 64
 * bytes say who wrote last, so that others know when to read again.
 */
export class HeldLock implements Disposable {
  readonly #fd: Fd;

  private constructor(fd: Fd) {
    this.#fd = fd;
  }

  /** Waits for the lock (on a thread of its own when it is not free). The file is made when missing. Errors: `cancelled` by `signal`; by errno. */
  static async take(path: string, mode: LockMode, signal?: AbortSignal): Promise<HeldLock> {
    const lock = Fd.adopt(openOrMake(path, mode));
    try {
      await lockWait(lock, mode, signal === undefined ? {} : { signal });
      return new HeldLock(lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** The write lock if nobody has it; undefined otherwise. */
  static tryTake(path: string): HeldLock | undefined {
    const lock = Fd.adopt(openOrMake(path, 'write'));
    if (tryLock(lock, 'write')) return new HeldLock(lock);
    lock.close();
    return undefined;
  }

  /** The mark of the last writer, '' when nobody wrote yet. */
  mark(): string {
    const mark = Buffer.alloc(MARK_BYTES);
    return mark.toString('latin1', 0, readSync(this.#fd.number, mark, 0, MARK_BYTES, 0));
  }

  /** Leaves our mark as the last writer, and returns it; to be called before what the lock guards is changed. */
  stamp(now: Date): string {
    const mark = Buffer.alloc(MARK_BYTES);
    mark.writeBigInt64LE(BigInt(now.getTime()) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n), 0);
    mark.writeBigUInt64LE(BigInt(++counter), 8);
    mark.writeUInt32LE(process.pid, 16);
    randomBytes(44).copy(mark, 20);
    writeSync(this.#fd.number, mark, 0, MARK_BYTES, 0);
    return mark.toString('latin1');
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

let counter = 0;

function openOrMake(path: string, mode: LockMode): number {
  try {
    return openSync(path, mode === 'read' ? 'r' : 'r+');
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    return openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  }
}
