import { TareError } from '../base/errors.ts';
import type { ExitRecord } from '../runtime/state.ts';
import type { MonitorClient } from '../sys/monitor/client.ts';
import type { OutputHandler, Running } from './running.ts';

export interface ConnectionOptions {
  readonly id: string;
  readonly name: string;
  readonly pid: number;
  readonly warnings: readonly string[];
  /** Runs once after `exit`, while the monitor still holds the life lock. */
  readonly cleanUp?: () => Promise<void>;
}

/** Output not yet delivered above which the monitor is asked to hold back. */
const HIGH_WATER_BYTES = 1024 * 1024;

/**
 * Makes a `Running` of a monitor connection: queues output until there is a handler, holds the monitor back while the handler is slow, and lets
 * `exit` settle only after the last byte was delivered (or nobody ever asked for output).
 */
export function connection(monitor: MonitorClient, options: ConnectionOptions): Running {
  const output = new OutputQueue((on) => monitor.pauseOutput(on));
  monitor.onStdout = (bytes) => output.push(1, bytes);
  monitor.onStderr = (bytes) => output.push(2, bytes);
  let finished: Promise<void> | undefined;
  const exit: Promise<ExitRecord> = monitor.exit.then(
    async (status) => {
      await output.drained();
      return status;
    },
    (cause: unknown) => {
      throw new TareError('unavailable', `Cannot wait for container ${options.name}: the connection to its monitor ended`, { cause });
    },
  );
  exit.catch(() => {});
  return {
    id: options.id,
    name: options.name,
    pid: options.pid,
    warnings: options.warnings,
    exit,
    onOutput: (handler) => output.setHandler(handler),
    writeStdin: (bytes) => monitor.stdin(bytes),
    endStdin: () => void monitor.closeStdin().catch(() => {}),
    resize: (rows, cols) => monitor.resize(rows, cols),
    kill: (signal) => monitor.signal(signal),
    finish: () => {
      finished ??= (async () => {
        await options.cleanUp?.();
        await monitor.done().catch(() => {});
        monitor.close();
      })();
      return finished;
    },
    close: () => monitor.close(),
  };
}

/** Chunks in order, one at a time to an awaited handler. */
class OutputQueue {
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
