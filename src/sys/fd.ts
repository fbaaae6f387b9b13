import { addon } from './addon.ts';
import { check } from './error.ts';

/** Where a call takes a descriptor: an owned one, or a number somebody else owns. */
export type FdLike = Fd | number;

const F_DUPFD_CLOEXEC = 1030;

/**
 * An owned file descriptor, close-on-exec. `using fd = openat2(...)` closes it on leaving scope.
 * After `close` or `release` its number is -1, so that a later use fails with EBADF instead of hitting a stranger's file.
 */
export class Fd implements Disposable {
  #number: number;

  private constructor(number: number) {
    this.#number = number;
  }

  /** Takes ownership of descriptor `number`. */
  static adopt(number: number): Fd {
    return new Fd(number);
  }

  /** The descriptor, or -1 after `close` or `release`. */
  get number(): number {
    return this.#number;
  }

  /** Gives up ownership: the caller closes it. */
  release(): number {
    const number = this.#number;
    this.#number = -1;
    return number;
  }

  /** A second descriptor of the same open file description. Errors: `exhausted`. */
  duplicate(): Fd {
    return duplicate(this);
  }

  /** Closes it; nothing happens the second time. Never throws: Linux frees the number whatever close(2) says. */
  close(): void {
    const number = this.release();
    if (number >= 0) addon().close(number);
  }

  /** Closes it without waiting for what its last close sets off in the kernel: another process is the last, and waits. */
  closeAside(): void {
    const number = this.release();
    if (number >= 0) addon().closeAside(number);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The number behind `fd`. */
export function numberOf(fd: FdLike): number {
  return typeof fd === 'number' ? fd : fd.number;
}

/** Duplicates a descriptor, close-on-exec. Errors: `exhausted`; `internal` for one that is not open (EBADF). */
export function duplicate(fd: FdLike): Fd {
  return Fd.adopt(check(addon().fcntl(numberOf(fd), F_DUPFD_CLOEXEC, 0), 'fcntl(F_DUPFD_CLOEXEC)'));
}
