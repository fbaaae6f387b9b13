import type { Socket } from 'node:net';
import { TareError } from '../../base/errors.ts';
import { duplicate, type Fd, type FdLike } from '../fd.ts';
import { trySendFds } from '../socket.ts';

/** How long to wait before a full socket is tried again for a frame that carries descriptors (ms). */
const FULL_RETRY_MS = 2;

interface Outgoing {
  readonly bytes: Uint8Array;
  readonly fds: readonly Fd[];
  readonly sent: (error?: Error | null) => void;
}

/**
 * A byte stream on the event loop that can send descriptors: frames leave in the order they were given. Bytes go through
 * Node's socket; a frame with descriptors waits until that one is empty and goes by sendmsg(2) on the same descriptor.
 */
export class Link {
  readonly #socket: Socket;
  readonly #number: number;
  #queue: Outgoing[] = [];
  #waiting = false;
  #closed = false;

  /** Takes ownership of `fd`. `onBytes` gets what arrives, `onClose` is called once, at the end. */
  constructor(fd: Fd, onBytes: (bytes: Buffer) => void, onClose: (error?: Error) => void) {
    // Loaded on first use: only commands that talk to a monitor pay for it.
    const net = process.getBuiltinModule('node:net');
    this.#number = fd.number;
    this.#socket = new net.Socket({ fd: fd.release(), readable: true, writable: true, allowHalfOpen: false });
    let failure: Error | undefined;
    this.#socket.on('data', onBytes);
    this.#socket.on('error', (error) => (failure = error));
    this.#socket.on('close', () => {
      this.#end(failure);
      onClose(failure);
    });
  }

  /** Sends bytes, and descriptors with the first of them (duplicated now, so the caller may close its own). Settles when the kernel has them. */
  send(bytes: Uint8Array, fds: readonly FdLike[] = []): Promise<void> {
    if (this.#closed) return Promise.reject(gone());
    const owned = fds.map((fd) => duplicate(fd));
    return new Promise((resolve, reject) => {
      const sent = (error?: Error | null): void => {
        for (const fd of owned) fd.close();
        if (error)
          reject(new TareError('unavailable', 'Cannot talk to monitor: the connection is closed', { cause: error }));
        else resolve();
      };
      this.#queue.push({ bytes, fds: owned, sent });
      this.#flush();
    });
  }

  /** Stops reading: the monitor's buffers fill, and then it stops reading the container's output. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Whether the connection alone keeps the process alive (it does at first). */
  setRef(on: boolean): void {
    if (on) this.#socket.ref();
    else this.#socket.unref();
  }

  /** Closes at once; what was not sent fails. */
  close(): void {
    this.#end();
    this.#socket.destroy();
  }

  #end(error?: Error): void {
    this.#closed = true;
    const queue = this.#queue;
    this.#queue = [];
    for (const { sent } of queue) sent(error ?? gone());
  }

  #flush(): void {
    while (!this.#waiting && !this.#closed) {
      const [next] = this.#queue;
      if (next === undefined) return;
      if (next.fds.length === 0) {
        this.#queue.shift();
        this.#socket.write(next.bytes, next.sent);
      } else if (this.#socket.writableLength > 0) {
        // Its callback comes after those of all bytes before it.
        this.#waiting = true;
        this.#socket.write('', () => this.#again());
      } else if (!this.#sendNow(next)) return;
    }
  }

  #again(): void {
    this.#waiting = false;
    this.#flush();
  }

  /** False when the socket is full: a timer will try again. */
  #sendNow(next: Outgoing): boolean {
    let count: number | undefined;
    try {
      count = trySendFds(this.#number, next.bytes, next.fds);
    } catch (error) {
      this.#queue.shift();
      next.sent(error as Error);
      return true;
    }
    if (count === undefined) {
      this.#waiting = true;
      setTimeout(() => this.#again(), FULL_RETRY_MS);
      return false;
    }
    this.#queue.shift();
    if (count === next.bytes.length) next.sent();
    else this.#socket.write(next.bytes.subarray(count), next.sent);
    return true;
  }
}

function gone(): TareError {
  return new TareError('unavailable', 'Cannot talk to monitor: the connection is closed');
}
