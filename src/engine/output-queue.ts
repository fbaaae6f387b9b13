import type { OutputHandler } from './running.ts';

/** Output not yet delivered above which the monitor is asked to hold back. */
const HIGH_WATER_BYTES = 1024 * 1024;

/**
 * Output of a process in order, one chunk at a time to an awaited handler; above a mebibyte of undelivered bytes it asks its source to hold back.
 */
export class OutputQueue {
  readonly #chunks: { stream: 1 | 2; bytes: Uint8Array }[] = [];
  readonly #pause: (on: boolean) => void;
  #handler: OutputHandler | undefined;
  #queuedBytes = 0;
  #paused = false;
  readonly #handled = Promise.withResolvers<void>();
  #delivering: Promise<void> | undefined;

  constructor(pause: (on: boolean) => void) {
    this.#pause = pause;
  }

  push(stream: 1 | 2, bytes: Uint8Array): void {
    this.#chunks.push({ stream, bytes });
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > HIGH_WATER_BYTES && !this.#paused) this.#pause((this.#paused = true));
    this.#deliver();
  }

  setHandler(handler: OutputHandler): void {
    this.#handler = handler;
    this.#handled.resolve();
    this.#deliver();
  }

  /** Settles when a handler has had everything that came: with output waiting, not before there is one. Rejects with the handler's own failure. */
  async drained(): Promise<void> {
    while (this.#delivering !== undefined || this.#chunks.length > 0) await (this.#delivering ?? this.#handled.promise);
  }

  /** Synchronous as long as the handler is: a chunk costs no promise then. */
  #deliver(): void {
    const handler = this.#handler;
    if (handler === undefined || this.#delivering !== undefined) return;
    for (let chunk = this.#chunks.shift(); chunk !== undefined; chunk = this.#chunks.shift()) {
      this.#queuedBytes -= chunk.bytes.length;
      const slow = handler(chunk.stream, chunk.bytes);
      if (slow instanceof Promise) {
        this.#delivering = slow.then(() => {
          this.#delivering = undefined;
          this.#deliver();
        });
        break;
      }
    }
    if (this.#paused && this.#queuedBytes < HIGH_WATER_BYTES / 2) this.#pause((this.#paused = false));
  }
}
