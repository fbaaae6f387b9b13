import { TareError } from '../base/errors.ts';
import type { ExitRecord } from '../runtime/state.ts';
import type { MonitorClient } from '../sys/monitor/client.ts';
import { OutputQueue } from './output-queue.ts';
import type { Running } from './running.ts';

export interface ConnectionOptions {
  readonly id: string;
  readonly name: string;
  readonly pid: number;
  readonly warnings: readonly string[];
  /** Runs once after `exit`, while the monitor still holds the life lock. */
  readonly cleanUp?: () => Promise<void>;
  /** Runs when the connection ends and it was not us who ended it; gives the exit that the monitor had recorded before. */
  readonly lost?: () => Promise<ExitRecord | undefined>;
}

/**
 * Makes a `Running` of a monitor connection: queues output until there is a handler, holds the monitor back while the handler is slow, and lets
 * `exit` settle only after the last byte was delivered (or nobody ever asked for output).
 */
export function connection(monitor: MonitorClient, options: ConnectionOptions): Running {
  const output = new OutputQueue((on) => monitor.pauseOutput(on));
  monitor.onStdout = (bytes) => output.push(1, bytes);
  monitor.onStderr = (bytes) => output.push(2, bytes);
  let finished: Promise<void> | undefined;
  let left = false;
  const close = (): void => {
    left = true;
    monitor.close();
  };
  const exit: Promise<ExitRecord> = monitor.exit.then(
    async (status) => {
      await output.drained();
      return status;
    },
    async (cause: unknown) => {
      const recorded = left ? undefined : await options.lost?.();
      if (recorded !== undefined) return recorded;
      throw new TareError(
        'unavailable',
        `Cannot wait for container ${options.name}: the connection to its monitor ended`,
        { cause },
      );
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
        close();
      })();
      return finished;
    },
    close,
  };
}
