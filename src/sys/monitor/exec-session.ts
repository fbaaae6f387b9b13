import type { ClientFrame } from './frames.ts';

/** How an exec'ed process ended. */
export interface ExecExit {
  /** As a shell sees it: 128+n when killed by signal n. */
  readonly code: number;
  readonly signal: number;
}

interface Handlers {
  readonly onStdout?: (bytes: Uint8Array) => void;
  readonly onStderr?: (bytes: Uint8Array) => void;
}

interface Connection {
  send(frame: ClientFrame): Promise<void>;
  resize(rows: number, cols: number): void;
  signal(signal: number): Promise<void>;
}

const STDIN_FRAME_BYTES = 64 * 1024;

/** One process that `MonitorClient.exec` started in a container. */
export class ExecSession {
  readonly id: string;
  /** After all its output. Rejects with `unavailable` when the connection ends before. */
  readonly exit: Promise<ExecExit>;
  readonly #handlers: Handlers;
  readonly #connection: Connection;
  #pid = 0;
  #resolve!: (exit: ExecExit) => void; // set by the executor, which runs at once
  #reject!: (error: unknown) => void; // likewise

  constructor(id: string, handlers: Handlers, connection: Connection) {
    this.id = id;
    this.#handlers = handlers;
    this.#connection = connection;
    this.exit = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.exit.catch(() => {});
  }

  /** As the monitor sees it. */
  get pid(): number {
    return this.#pid;
  }

  /** Writes to its stdin; settles when the kernel has taken it. */
  async stdin(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += STDIN_FRAME_BYTES) {
      await this.#connection.send({
        type: 'execStdin',
        exec: this.id,
        bytes: bytes.subarray(at, at + STDIN_FRAME_BYTES),
      });
    }
  }

  /** End of file on its stdin. */
  async closeStdin(): Promise<void> {
    await this.#connection.send({ type: 'execStdin', exec: this.id, bytes: new Uint8Array() });
  }

  /** Sets the size of its pty. */
  resize(rows: number, cols: number): void {
    this.#connection.resize(rows, cols);
  }

  /** Sends it a signal. Errors: by the monitor's errno. */
  signal(signal: number): Promise<void> {
    return this.#connection.signal(signal);
  }

  /** @internal */
  started(pid: number): void {
    this.#pid = pid;
  }

  /** @internal */
  output(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    if (stream === 'stdout') this.#handlers.onStdout?.(bytes);
    else this.#handlers.onStderr?.(bytes);
  }

  /** @internal */
  exited(code: number, signal: number): void {
    this.#resolve({ code, signal });
  }

  /** @internal */
  ended(error: unknown): void {
    this.#reject(error);
  }
}
