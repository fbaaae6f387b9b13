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
  /** Node's socket, made by the first turn of the event loop: until then frames leave by sendmsg(2), and whoever is at the other end can work on them while node:net loads. */
  #socket: Socket | undefined;
  #fd: Fd | undefined;
  readonly #number: number;
  readonly #onBytes: (bytes: Buffer) => void;
  readonly #onClose: (error?: Error) => void;
  #queue: Outgoing[] = [];
  #waiting = false;
  #closed = false;

  /** Takes ownership of `fd`. `onBytes` gets what arrives, `onClose` is called once, at the end. */
  constructor(fd: Fd, onBytes: (bytes: Buffer) => void, onClose: (error?: Error) => void) {
    this.#number = fd.number;
    this.#fd = fd;
    this.#onBytes = onBytes;
    this.#onClose = onClose;
    setImmediate(() => {
      if (!this.#closed) this.#open();
    });
  }

  #open(): Socket {
    if (this.#socket !== undefined) return this.#socket;
    // Loaded on first use: only commands that talk to a monitor pay for it.
    const net = process.getBuiltinModule('node:net');
    const fd = this.#fd?.release() ?? -1;
    this.#fd = undefined;
    const socket = new net.Socket({ fd, readable: true, writable: true, allowHalfOpen: false });
    let failure: Error | undefined;
    socket.on('data', this.#onBytes);
    socket.on('error', (error) => (failure = error));
    socket.on('close', () => {
      this.#end(failure);
      this.#onClose(failure);
    });
    this.#socket = socket;
    return socket;
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
    this.#open().pause();
  }

  resume(): void {
    this.#open().resume();
  }

  /** Whether the connection alone keeps the process alive (it does at first). */
  setRef(on: boolean): void {
    if (on) this.#open().ref();
    else this.#open().unref();
  }

  /** Closes at once; what was not sent fails. */
  close(): void {
    this.#end();
    this.#fd?.close();
    this.#fd = undefined;
    this.#socket?.destroy();
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
      const socket = this.#socket;
      if (socket !== undefined && next.fds.length === 0) {
        this.#queue.shift();
        socket.write(next.bytes, next.sent);
      } else if (socket !== undefined && socket.writableLength > 0) {
        // Its callback comes after those of all bytes before it.
        this.#waiting = true;
        socket.write('', () => this.#again());
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
    else this.#open().write(next.bytes.subarray(count), next.sent);
    return true;
  }
}

function gone(): TareError {
  return new TareError('unavailable', 'Cannot talk to monitor: the connection is closed');
}
