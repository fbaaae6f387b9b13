import { fstatSync, openSync, writeSync } from 'node:fs';
import { Fd } from '../sys/fd.ts';
import { type LockMode, lockWait } from '../sys/lock.ts';
import { randomBytes } from './_random.ts';

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
    const fd = Fd.adopt(openSync(path, 'a+', 0o644));
    fd.close();
    const lock = Fd.adopt(openSync(path, mode === 'read' ? 'r' : 'r+'));
    try {
      await lockWait(lock, mode, signal === undefined ? {} : { signal });
      return new HeldLock(lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** Leaves our mark as the last writer; to be called before what the lock guards is changed. */
  stamp(now: Date): void {
    const mark = Buffer.alloc(64);
    mark.writeBigInt64LE(BigInt(now.getTime()) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n), 0);
    mark.writeBigUInt64LE(BigInt(++counter), 8);
    mark.writeUInt32LE(process.pid, 16);
    randomBytes(44).copy(mark, 20);
    writeSync(this.#fd.number, mark, 0, 64, 0);
  }

  /** True when nobody ever wrote what it guards. */
  get isNew(): boolean {
    return fstatSync(this.#fd.number).size === 0;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

let counter = 0;
