import { TareError } from '../../base/errors.ts';
import { duplicate, type Fd, type FdLike } from '../fd.ts';
import { isErrno } from '../error.ts';
import { tryReceive, trySendFds } from '../socket.ts';
import { Watch } from '../watch.ts';

const READ_BYTES = 64 * 1024;
/** Reads per turn of the event loop: others want theirs, too. */
const READS_PER_TURN = 16;
const FOREVER_MS = 2 ** 31 - 1;

interface Outgoing {
  bytes: Uint8Array;
  fds: readonly Fd[];
  readonly sent: (error?: Error) => void;
}

/**
 * A byte stream on the event loop that can send descriptors: frames leave in the order they were given, at once while the socket takes them. Not a socket of node:net, whose loading
 * takes as long as making a container.
 */
export class Link {
  readonly #fd: Fd;
  readonly #watch: Watch;
  readonly #onBytes: (bytes: Buffer) => void;
  readonly #onClose: (error?: Error) => void;
  #queue: Outgoing[] = [];
  #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  #closed = false;
  #ref = true;
  /** While paused: what keeps the process alive in place of the watch. */
  #paused: NodeJS.Timeout | undefined;

  /** Takes ownership of `fd`. `onBytes` gets what arrives, `onClose` is called once, when the other side or an error ends it. */
  constructor(fd: Fd, onBytes: (bytes: Buffer) => void, onClose: (error?: Error) => void) {
    this.#fd = fd;
    this.#onBytes = onBytes;
    this.#onClose = onClose;
    this.#watch = new Watch(fd, {
      readable: () => this.#read(),
      writable: () => this.#flush(),
      failed: (error) => this.#drain(error),
    });
    this.#want();
  }

  /** Sends bytes, and descriptors with the first of them (duplicated now, so the caller may close its own). Settles when the kernel has them. */
  send(bytes: Uint8Array, fds: readonly FdLike[] = []): Promise<void> {
    if (this.#closed) return Promise.reject(gone());
    const owned = fds.map((fd) => duplicate(fd));
    return new Promise((resolve, reject) => {
      const sent = (error?: Error): void => {
        for (const fd of owned) fd.close();
        if (error === undefined) resolve();
        else reject(new TareError('unavailable', 'Cannot talk to monitor: the connection is closed', { cause: error }));
      };
      this.#queue.push({ bytes, fds: owned, sent });
      if (this.#queue.length === 1) this.#flush();
    });
  }

  /** Stops reading: the monitor's buffers fill, and then it stops reading the container's output. */
  pause(): void {
    if (this.#closed || this.#paused !== undefined) return;
    this.#paused = setInterval(() => {}, FOREVER_MS);
    this.setRef(this.#ref);
    this.#want();
  }

  resume(): void {
    clearInterval(this.#paused);
    this.#paused = undefined;
    this.#want();
  }

  /** Whether the connection alone keeps the process alive (it does at first). */
  setRef(on: boolean): void {
    this.#ref = on;
    if (on) this.#paused?.ref();
    else this.#paused?.unref();
    this.#watch.setRef(on);
  }

  /** Closes at once; what was not sent fails. */
  close(): void {
    this.#end();
  }

  #want(): void {
    if (!this.#closed) this.#watch.want({ readable: this.#paused === undefined, writable: this.#queue.length > 0 });
  }

  #read(): void {
    for (let turn = 0; turn < READS_PER_TURN && !this.#closed && this.#paused === undefined; turn++)
      if (!this.#readOne()) return;
  }

  /** One receive; false when there is nothing more for now, or ever. */
  #readOne(): boolean {
    let count: number | undefined;
    try {
      count = tryReceive(this.#fd, this.#buffer);
    } catch (error) {
      this.#fail(error as Error);
      return false;
    }
    if (count === undefined) return false;
    if (count === 0) {
      this.#fail();
      return false;
    }
    if (count > READ_BYTES / 2) {
      const full = this.#buffer;
      this.#buffer = Buffer.allocUnsafeSlow(READ_BYTES);
      this.#onBytes(full.subarray(0, count));
    } else this.#onBytes(Buffer.from(this.#buffer.subarray(0, count)));
    return true;
  }

  /** The other side left without reading all that we sent: what it said before is still there, and no event will tell of it any more. */
  #drain(error: Error): void {
    this.resume();
    while (!this.#closed && this.#readOne()) continue;
    this.#fail(error);
  }

  #flush(): void {
    for (;;) {
      const [next] = this.#queue;
      if (next === undefined || this.#closed) break;
      let count: number | undefined;
      try {
        count = trySendFds(this.#fd, next.bytes, next.fds);
      } catch (error) {
        // What the other side said before it left is still there to be read: reading ends the connection.
        this.#queue.shift();
        next.sent(error as Error);
        continue;
      }
      if (count === undefined) break;
      if (count === next.bytes.length) {
        this.#queue.shift();
        next.sent();
      } else {
        next.bytes = next.bytes.subarray(count);
        next.fds = [];
      }
    }
    this.#want();
  }

  #fail(error?: Error): void {
    if (this.#closed) return;
    // EBADF is what libuv calls an error of the socket, whose own word the last receive has taken.
    const failure = isErrno(error, 'ECONNRESET', 'EPIPE', 'EBADF') ? undefined : error;
    this.#end(failure);
    this.#onClose(failure);
  }

  #end(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#paused);
    this.#watch[Symbol.dispose]();
    this.#fd.close();
    const queue = this.#queue;
    this.#queue = [];
    for (const { sent } of queue) sent(error ?? gone());
  }
}

function gone(): TareError {
  return new TareError('unavailable', 'Cannot talk to monitor: the connection is closed');
}
