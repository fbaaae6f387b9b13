import { parseSignal } from '../spec/signals.ts';
import { DetachScanner } from './detach-keys.ts';
import { BrokenPipe, writeAll } from './output.ts';

/** What a container we are attached to and an exec session have in common. */
export interface Session {
  onOutput(handler: (stream: 1 | 2, bytes: Uint8Array) => void | Promise<void>): void;
  writeStdin(bytes: Uint8Array): Promise<void>;
  endStdin(): void;
  resize(rows: number, cols: number): void;
  kill(signal: number): Promise<void>;
  /** Settles after the last byte of output was delivered. */
  readonly exit: Promise<{ readonly code: number }>;
}

/** How we stay connected. */
export interface ForegroundOptions {
  /** Our standard input goes there. */
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** The other side has a terminal. */
  readonly terminal: boolean;
  /** Forward the signals we get. */
  readonly forwardSignals: boolean;
  /** Empty: none. Only looked for when a terminal types into a terminal. */
  readonly detachKeys: Uint8Array;
}

/** How it ended for us; `broken-pipe`: nobody reads our output any more. */
export type ForegroundEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'detached' }
  | { readonly kind: 'broken-pipe' };

/** What docker and podman forward, without those that tell about our own children, pipes and timers. */
const FORWARDED = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGTERM',
  'SIGUSR1',
  'SIGUSR2',
  'SIGCONT',
  'SIGABRT',
  'SIGALRM',
] as const;

/** Signals that end us: the terminal must be as it was before they do. */
const DEADLY = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const;

/**
 * Connects our streams, signals and terminal with a session until it ends, the detach keys are typed, or our reader goes away. When it returns, all
 * output is written and the terminal is as it was; it is restored, too, when this process throws or is killed by a catchable signal.
 *
 * Errors: what `session.exit` rejects with; a failure to write other than a broken pipe.
 */
export async function foreground(session: Session, options: ForegroundOptions): Promise<ForegroundEnd> {
  await using stack = new AsyncDisposableStack();
  const { promise: left, resolve: leave, reject: fail } = Promise.withResolvers<ForegroundEnd>();
  let over = false;
  let writing: Promise<void> | undefined;

  if (options.forwardSignals) stack.use(forwardSignals(session));
  let scanner = new DetachScanner(new Uint8Array(0));
  if (options.terminal) {
    const { connectTerminal } = await import('./terminal.ts');
    const typing = stack.use(
      connectTerminal(session, { raw: options.stdin, restoreOn: options.forwardSignals ? [] : DEADLY }),
    );
    if (typing.raw) scanner = new DetachScanner(options.detachKeys);
  }
  // Last: whoever sees the first output may already type and send signals.
  session.onOutput((stream, bytes) => {
    if (over || !(stream === 1 ? options.stdout : options.stderr)) return;
    writing = writeAll(stream, bytes).catch((error: unknown) => {
      over = true;
      if (error instanceof BrokenPipe) leave({ kind: 'broken-pipe' });
      else fail(error);
    });
    return writing;
  });
  if (options.stdin) {
    const input = relayInput(session, scanner, () => leave({ kind: 'detached' }));
    stack.defer(() => input.stop());
  }
  const ended = session.exit.then(async (exit): Promise<ForegroundEnd> => {
    // One that ended before it had our handler hands its output over only now: each write lets the next one begin.
    for (let last = writing; last !== undefined; last = writing === last ? undefined : writing) {
      await last;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { kind: 'exited', code: exit.code };
  });
  return await Promise.race([ended, left]);
}

/** When it is over, a signal is ours again. The listeners stay until one comes: to take them away costs what the end of a short run costs, and this process ends soon. */
function forwardSignals(session: Session): Disposable {
  let over = false;
  const listeners = FORWARDED.map((name) => {
    const number = parseSignal(name);
    const listener = (): void => {
      // It may have ended a moment ago: then there is nobody to tell.
      if (!over) return void session.kill(number).catch(() => {});
      for (const one of listeners) process.off(one.name, one.listener);
      process.kill(process.pid, number);
    };
    process.on(name, listener);
    return { name, listener };
  });
  return {
    [Symbol.dispose]() {
      over = true;
    },
  };
}

/** Sends our standard input, no faster than it is taken; its end ends theirs. */
function relayInput(session: Session, scanner: DetachScanner, onDetach: () => void): { stop(): void } {
  const stdin = process.stdin;
  let stopped = false;
  const relay = async (): Promise<void> => {
    for await (const chunk of stdin) {
      const { pass, detached } = scanner.feed(chunk as Uint8Array);
      if (pass.length > 0) await session.writeStdin(pass);
      if (detached) return onDetach();
    }
    session.endStdin();
  };
  relay().catch(() => {
    // A terminal that hung up, a session that closed its input or ended: all are the end of input.
    if (!stopped) session.endStdin();
  });
  return {
    stop() {
      stopped = true;
      stdin.destroy();
    },
  };
}
