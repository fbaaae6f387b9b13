import { TareError, isKind } from '../base/errors.ts';
import { parseSignal } from '../spec/signals.ts';
import { connectMonitor } from './connect.ts';
import type { Engine } from './engine.ts';
import { summarize } from './list.ts';
import { resolveContainer } from './names.ts';
import { waitContainer } from './wait.ts';

export interface StopOptions {
  /** Grace period before SIGKILL; default the container's own (10 s). 0: SIGKILL at once; negative: never. */
  readonly timeoutSeconds?: number;
  /** Instead of the container's stop signal. */
  readonly signal?: string;
}

/**
 * Stops a container and returns when it has ended and its exit is recorded. The grace period runs in the monitor, so a client that dies changes nothing.
 * Stopping what does not run is no error. Errors: not-found, invalid signal.
 */
export async function stopContainer(engine: Engine, nameOrId: string, options: StopOptions = {}): Promise<void> {
  const id = resolveContainer(engine, nameOrId);
  const signal = options.signal === undefined ? 0 : parseSignal(options.signal);
  const timeoutMs =
    options.timeoutSeconds === undefined
      ? -1
      : options.timeoutSeconds < 0
        ? -2
        : Math.round(options.timeoutSeconds * 1000);
  let connection;
  try {
    connection = await connectMonitor(engine, id, 'stop');
  } catch (error) {
    if (isKind(error, 'failed-precondition')) return;
    throw error;
  }
  const { monitor } = connection;
  try {
    await monitor.stop({ signal, timeoutMs });
  } catch (error) {
    // It ended by itself between our look and the request.
    if (summarize(engine, id)?.state === 'running') throw error;
  } finally {
    monitor.close();
  }
  try {
    await waitContainer(engine, id);
  } catch (error) {
    if (!isKind(error, 'not-found')) throw error;
  }
}

/**
 * Sends a signal to a container's first process. Errors: not-found, failed-precondition when it does not run, invalid signal.
 */
export async function killContainer(
  engine: Engine,
  nameOrId: string,
  signal: string,
  options: { readonly all?: boolean } = {},
): Promise<void> {
  const number = parseSignal(signal);
  const { monitor } = await connectMonitor(engine, nameOrId, 'kill');
  try {
    await monitor.signal(number, { all: options.all === true });
  } catch (cause) {
    throw new TareError('failed-precondition', `Cannot kill container ${nameOrId}: it ended meanwhile`, { cause });
  } finally {
    monitor.close();
  }
}
