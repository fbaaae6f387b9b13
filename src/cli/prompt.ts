import { isTerminal, RawMode } from '../sys/tty.ts';
import type { Context } from './context.ts';
import { UsageError } from './usage-error.ts';

const INTERRUPT = 0x03;
const END = 0x04;
const KILL_LINE = 0x15;
const BACKSPACES: readonly number[] = [0x08, 0x7f];
const MAX_BYTES = 64 * 1024;

/** The user stopped at a question. */
class Interrupted extends Error {
  readonly exitCode = 130;
}

/** Questions at the terminal. Disposing puts it back to how it was; so does every way out, signals included. */
export class Prompt implements Disposable {
  readonly #say: (text: string) => void;
  readonly #stack = new DisposableStack();
  readonly #input: AsyncIterator<Uint8Array>;
  /** Typed ahead: what came with the last line. */
  #ahead: number[] = [];

  private constructor(say: (text: string) => void) {
    this.#say = say;
    const mode = this.#stack.use(RawMode.enter(0));
    const restore = (): void => mode[Symbol.dispose]();
    process.on('exit', restore);
    this.#stack.defer(() => process.off('exit', restore));
    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) {
      const die = (): void => {
        restore();
        process.removeAllListeners(signal);
        process.kill(process.pid, signal);
      };
      process.on(signal, die);
      this.#stack.defer(() => process.off(signal, die));
    }
    this.#input = process.stdin.iterator({ destroyOnReturn: false }) as AsyncIterator<Uint8Array>;
    this.#stack.defer(() => process.stdin.pause());
  }

  /** Errors: UsageError with `otherwise` when standard input is no terminal. */
  static open(context: Pick<Context, 'complain'>, otherwise: string): Prompt {
    if (!isTerminal(0)) throw new UsageError(otherwise);
    return new Prompt((text) => context.complain(text));
  }

  /** Asks, and returns the line that is typed; with `secret` nothing of it is shown. Errors: one with exit code 130 after Ctrl-C. */
  async ask(question: string, how: { readonly secret: boolean } = { secret: false }): Promise<string> {
    this.#say(question);
    const typed: number[] = [];
    const characters = new TextDecoder();
    const erase = (): void => {
      // A character is one byte and those that go on with it.
      let byte = typed.pop();
      while (byte !== undefined && (byte & 0xc0) === 0x80) byte = typed.pop();
      if (byte !== undefined && !how.secret) this.#say('\b \b');
    };
    for (;;) {
      const byte = await this.#next();
      if (byte === INTERRUPT) {
        this.#say('\r\n');
        throw new Interrupted('interrupted');
      }
      if (byte === undefined || byte === 0x0d || byte === 0x0a || byte === END) break;
      if (BACKSPACES.includes(byte)) erase();
      else if (byte === KILL_LINE) while (typed.length > 0) erase();
      else if (byte >= 0x20 && typed.length < MAX_BYTES) {
        typed.push(byte);
        if (!how.secret) this.#say(characters.decode(Uint8Array.of(byte), { stream: true }));
      }
    }
    this.#say('\r\n');
    return Buffer.from(typed).toString('utf8');
  }

  async #next(): Promise<number | undefined> {
    while (this.#ahead.length === 0) {
      const next = await this.#input.next();
      if (next.done === true) return undefined;
      this.#ahead = [...next.value];
    }
    return this.#ahead.shift();
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}
