import { addon } from './addon.ts';
import { SysError } from './error.ts';
import type { Fd } from './fd.ts';

const READABLE = 1;
const WRITABLE = 2;

/** What a Watch tells. `error` is final, and as errno. */
export interface WatchEvents {
  readable(): void;
  writable(): void;
  failed(error: SysError): void;
}

/**
 * Tells when a descriptor can be read or written, from the event loop (level-triggered, native/addon/watch.c). It makes the descriptor non-blocking and does not own it: to be
 * disposed before the descriptor is closed.
 */
export class Watch implements Disposable {
  readonly #handle: object;
  #events = 0;
  #ref = true;
  #closed = false;

  /** Errors: by errno, `EPERM` for a regular file. */
  constructor(fd: Fd, on: WatchEvents) {
    const handle = addon().watchOpen(fd.number, (events) => {
      if (events < 0) return on.failed(new SysError('poll', -events));
      if ((events & READABLE) !== 0) on.readable();
      // Reading may have ended it.
      if ((events & WRITABLE) !== 0 && !this.#closed) on.writable();
    });
    if (typeof handle === 'number') throw new SysError('poll', -handle);
    this.#handle = handle;
  }

  /** What to be told of from now on. */
  want(what: { readonly readable: boolean; readonly writable: boolean }): void {
    const events = (what.readable ? READABLE : 0) | (what.writable ? WRITABLE : 0);
    if (events !== this.#events) this.#set(events, this.#ref);
  }

  /** Whether it keeps the process alive while it waits for something (it does at first). */
  setRef(on: boolean): void {
    this.#set(this.#events, on);
  }

  #set(events: number, ref: boolean): void {
    this.#events = events;
    this.#ref = ref;
    if (!this.#closed) addon().watchSet(this.#handle, events, ref ? 1 : 0);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    addon().watchClose(this.#handle);
  }
}
