import { addon } from './addon.ts';
import { check } from './error.ts';
import { type FdLike, numberOf } from './fd.ts';

const TCGETS = 0x5401;
const TCSETSW = 0x5403;
const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;

/* The kernel's struct termios: four u32 words of flags, c_line, then 19 control characters. */
const IFLAG = 0;
const OFLAG = 1;
const CFLAG = 2;
const LFLAG = 3;
const CC = 17;
const VTIME = 5;
const VMIN = 6;
/** IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON */
const INPUT_COOKING = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x80 | 0x100 | 0x400;
const OPOST = 0x1;
/** ECHO ECHONL ICANON ISIG IEXTEN */
const LOCAL_COOKING = 0x8 | 0x40 | 0x2 | 0x1 | 0x8000;
const CSIZE_PARENB = 0x30 | 0x100;
const CS8 = 0x30;

/** In characters. */
export interface WindowSize {
  readonly rows: number;
  readonly cols: number;
}

/** True when the descriptor is a terminal. */
export function isTerminal(fd: FdLike): boolean {
  return addon().ioctl(numberOf(fd), TCGETS, new Uint32Array(16)) === 0;
}

/** The terminal's size; 0 by 0 when nobody set it. Errors: by errno (ENOTTY is `internal`). */
export function windowSize(fd: FdLike): WindowSize {
  const size = new Uint16Array(32);
  check(addon().ioctl(numberOf(fd), TIOCGWINSZ, size), 'ioctl(TIOCGWINSZ)');
  return { rows: size[0] ?? 0, cols: size[1] ?? 0 };
}

/** Sets the terminal's size; its foreground processes get SIGWINCH when it changed. Errors: by errno. */
export function setWindowSize(fd: FdLike, size: WindowSize): void {
  const value = new Uint16Array(32);
  value[0] = size.rows;
  value[1] = size.cols;
  check(addon().ioctl(numberOf(fd), TIOCSWINSZ, value), 'ioctl(TIOCSWINSZ)');
}

/** A terminal in raw mode; disposing restores what it was. */
export class RawMode implements Disposable {
  readonly #fd: FdLike;
  #before: Uint32Array | undefined;

  private constructor(fd: FdLike, before: Uint32Array) {
    this.#fd = fd;
    this.#before = before;
  }

  /** Every byte passes at once and as it is, signals keys included (as cfmakeraw). Errors: by errno. */
  static enter(fd: FdLike): RawMode {
    const before = new Uint32Array(16);
    check(addon().ioctl(numberOf(fd), TCGETS, before), 'ioctl(TCGETS)');
    const raw = before.slice();
    const word = (index: number): number => before[index] ?? 0;
    raw[IFLAG] = word(IFLAG) & ~INPUT_COOKING;
    raw[OFLAG] = word(OFLAG) & ~OPOST;
    raw[CFLAG] = (word(CFLAG) & ~CSIZE_PARENB) | CS8;
    raw[LFLAG] = word(LFLAG) & ~LOCAL_COOKING;
    const bytes = new Uint8Array(raw.buffer);
    bytes[CC + VMIN] = 1;
    bytes[CC + VTIME] = 0;
    check(addon().ioctl(numberOf(fd), TCSETSW, raw), 'ioctl(TCSETSW)');
    return new RawMode(fd, before);
  }

  /** Restores the mode; a terminal that hung up meanwhile is no error. */
  [Symbol.dispose](): void {
    if (this.#before !== undefined) addon().ioctl(numberOf(this.#fd), TCSETSW, this.#before);
    this.#before = undefined;
  }
}
