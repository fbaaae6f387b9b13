import { isTerminal, RawMode, windowSize, type WindowSize } from '../sys/tty.ts';
import type { Session } from './foreground.ts';

/** Our terminal while it is lent to a session. */
export interface LentTerminal extends Disposable {
  /** Keys go through as they are. */
  readonly raw: boolean;
}

/** How to lend it. */
export interface TerminalOptions {
  /** Put our standard input, if it is a terminal, in raw mode. */
  readonly raw: boolean;
  /** Signals that nobody else handles: restore the terminal, then die of them. */
  readonly restoreOn: readonly NodeJS.Signals[];
}

/** What our terminal measures; undefined without one, or when nobody told it. */
export function ownTerminalSize(): WindowSize | undefined {
  const screen = ownScreen();
  const size = screen === undefined ? undefined : windowSize(screen);
  return size !== undefined && size.rows > 0 && size.cols > 0 ? size : undefined;
}

function ownScreen(): number | undefined {
  return [1, 0, 2].find((fd) => isTerminal(fd));
}

/**
 * Keeps the session's terminal as large as ours, and passes keys through in raw mode. Disposing, a thrown error, `process.exit` and the signals of
 * `restoreOn` restore ours.
 */
export function connectTerminal(session: Session, options: TerminalOptions): LentTerminal {
  const screen = ownScreen();
  const stack = new DisposableStack();
  if (screen !== undefined) {
    const resize = (): void => {
      const { rows, cols } = windowSize(screen);
      if (rows > 0 && cols > 0) session.resize(rows, cols);
    };
    resize();
    process.on('SIGWINCH', resize);
    stack.defer(() => process.off('SIGWINCH', resize));
  }
  const raw = options.raw && isTerminal(0);
  if (raw) {
    const mode = stack.use(RawMode.enter(0));
    const restore = (): void => mode[Symbol.dispose]();
    process.on('exit', restore);
    stack.defer(() => process.off('exit', restore));
    for (const signal of options.restoreOn) {
      const die = (): void => {
        restore();
        process.removeAllListeners(signal);
        process.kill(process.pid, signal);
      };
      process.on(signal, die);
      stack.defer(() => process.off(signal, die));
    }
  }
  return { raw, [Symbol.dispose]: () => stack.dispose() };
}

/** True when our standard input is no terminal: `-i -t` cannot work then. */
export function inputIsNoTerminal(): boolean {
  return !isTerminal(0);
}
