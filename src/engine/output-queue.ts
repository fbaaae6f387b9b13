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
  #delivering: Promise<void> | undefined;

  constructor(pause: (on: boolean) => void) {
    this.#pause = pause;
  }

  push(stream: 1 | 2, bytes: Uint8Array): void {
    // Nothing waits: deliver at once, which is the whole story for a handler that returns nothing.
    if (this.#handler !== undefined && this.#delivering === undefined) {
      const slow = this.#handler(stream, bytes);
      if (slow instanceof Promise) this.#delivering = slow.then(() => this.#deliver());
      return;
    }
    this.#chunks.push({ stream, bytes });
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > HIGH_WATER_BYTES && !this.#paused) this.#pause((this.#paused = true));
  }

  setHandler(handler: OutputHandler): void {
    this.#handler = handler;
    this.#delivering ??= this.#deliver();
  }

  async drained(): Promise<void> {
    while (this.#delivering !== undefined) await this.#delivering;
  }

  async #deliver(): Promise<void> {
    try {
      for (let chunk = this.#chunks.shift(); chunk !== undefined; chunk = this.#chunks.shift()) {
        this.#queuedBytes -= chunk.bytes.length;
        await this.#handler?.(chunk.stream, chunk.bytes);
        if (this.#paused && this.#queuedBytes < HIGH_WATER_BYTES / 2) this.#pause((this.#paused = false));
      }
    } finally {
      this.#delivering = undefined;
    }
  }
}
