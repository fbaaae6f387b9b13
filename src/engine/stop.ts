import { statSync } from 'node:fs';
import { monotonicMs, sleep } from '../base/clock.ts';
import { TareError, isKind } from '../base/errors.ts';
import { isServed, readLifeState } from '../runtime/state.ts';
import { parseSignal } from '../spec/signals.ts';
import { cleanupContainer } from './cleanup.ts';
import { connectMonitor, UnreachableMonitor } from './connect.ts';
import { type Engine, socketPath } from './engine.ts';
import { isKept, summarize } from './list.ts';
import { resolveContainer } from './names.ts';
import { thawIfPaused } from './pause.ts';
import { reconcile } from './reconcile.ts';
import { containerDir, findRecord } from './record.ts';
import { signalUnreachable, stopUnreachable } from './stop-unreachable.ts';

export interface StopOptions {
  /** Grace period before SIGKILL; default the container's own (10 s). 0: SIGKILL at once; negative: never. */
  readonly timeoutSeconds?: number;
  /** Instead of the container's stop signal. */
  readonly signal?: string;
  /** One that removes itself is gone, and its name free, before this returns. Not for a process that is attached to it: that keeps it until `finish()`. */
  readonly untilRemoved?: boolean;
}

/** So long may somebody who still reads what it printed keep a container from being removed. */
const REMOVAL_DEADLINE_MS = 10_000;

/** A monitor that answered unmounts and cleans up no longer. */
const DYING_DEADLINE_MS = 10_000;

/** So long a request may meet monitors that leave. */
const HANDING_DEADLINE_MS = 10_000;

/**
 * Stops a container and returns when it has ended and its exit is recorded, also when somebody starts it again at that moment: the run that is stopped is the one that was found.
 * One that waits for its start is again what it was before that was prepared. The grace period runs in the monitor, so a client that dies changes nothing.
 * Stopping what does not run is no error; a paused one goes on to get the signal. Errors: not-found, invalid signal.
 */
export async function stopContainer(engine: Engine, nameOrId: string, options: StopOptions = {}): Promise<void> {
  const id = resolveContainer(engine, nameOrId);
  await stopRunning(engine, id, options);
  if (options.untilRemoved === true) await untilRemoved(engine, id);
}

async function stopRunning(engine: Engine, id: string, options: StopOptions, deadline?: number): Promise<void> {
  const signal = options.signal === undefined ? 0 : parseSignal(options.signal);
  const timeoutMs =
    options.timeoutSeconds === undefined
      ? -1
      : options.timeoutSeconds < 0
        ? -2
        : Math.round(options.timeoutSeconds * 1000);
  const served = monitorSocket(engine, id);
  let connection;
  try {
    connection = await connectMonitor(engine, id, 'stop', { greet: true, initialized: true });
  } catch (error) {
    if (isKind(error, 'failed-precondition')) return;
    if (error instanceof UnreachableMonitor) return stopUnreachable(engine, id, { signal, timeoutMs });
    throw error;
  }
  const { monitor } = connection;
  let again: number | undefined;
  try {
    const stopping = monitor.stop({ signal, timeoutMs });
    stopping.catch(() => {});
    // The signal waits for it: now it can act on it.
    const record = findRecord(engine, id);
    if (record !== undefined) thawIfPaused(engine, record);
    await stopping;
  } catch (error) {
    // It ended by itself between our look and the request; or its monitor has handed it over to another one.
    const now = summarize(engine, id);
    if (now !== undefined && isKept(now)) again = deadline ?? monotonicMs() + HANDING_DEADLINE_MS;
    if (again !== undefined && (!isKind(error, 'unavailable') || monotonicMs() > again)) throw error;
  } finally {
    monitor.close();
  }
  if (again !== undefined) {
    await sleep(5);
    return stopRunning(engine, id, options, again);
  }
  await untilCollected(engine, id, served);
}

/** Which monitor serves a container, by its socket. */
function monitorSocket(engine: Engine, id: string): string | undefined {
  const stat = statSync(socketPath(engine, id), { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? undefined : `${stat.ino} ${stat.ctimeNs}`;
}

/** When a monitor answers, the end is recorded. One that died, or could not write, leaves that to us; another one is the next run's. */
async function untilCollected(engine: Engine, id: string, served: string | undefined): Promise<void> {
  const deadline = monotonicMs() + DYING_DEADLINE_MS;
  while (monotonicMs() < deadline) {
    const state = readLifeState(containerDir(engine, id));
    if (state === undefined || !isServed(state.phase)) return;
    if (!state.held) return reconcile(engine, id);
    const now = monitorSocket(engine, id);
    if (now !== undefined && now !== served) return;
    await sleep(5);
  }
}

/** Does what the monitor's last act does anyway, as soon as the monitor lets go: that starts a program first. */
async function untilRemoved(engine: Engine, id: string): Promise<void> {
  if (findRecord(engine, id)?.autoRemove !== true) return;
  const ended = (): boolean => ['exited', 'removing'].includes(readLifeState(containerDir(engine, id))?.phase ?? '');
  const deadline = { signal: AbortSignal.timeout(REMOVAL_DEADLINE_MS) };
  try {
    // The first round may find that the other one does it: the second then waits for it.
    while (ended()) {
      await cleanupContainer(engine, id, deadline);
      // Somebody restarts it.
      if (ended()) await sleep(5);
    }
  } catch (error) {
    if (!isKind(error, 'cancelled')) throw error;
  }
}

const SIGKILL = 9;

/**
 * Sends a signal to a container's first process. A paused one gets it when it goes on, which it does at once when the signal is to end it. Errors: not-found, failed-precondition when it does not run, invalid signal.
 */
export async function killContainer(
  engine: Engine,
  nameOrId: string,
  signal: string,
  options: { readonly all?: boolean } = {},
): Promise<void> {
  const number = parseSignal(signal);
  const connection = await connectMonitor(engine, nameOrId, 'kill').catch(async (error: unknown) => {
    if (!(error instanceof UnreachableMonitor)) throw error;
    return undefined;
  });
  if (connection === undefined) return signalUnreachable(engine, resolveContainer(engine, nameOrId), number);
  const { id, monitor } = connection;
  try {
    await monitor.signal(number, { all: options.all === true });
    const record = findRecord(engine, id);
    if (record !== undefined && (number === SIGKILL || number === record.stopSignal)) thawIfPaused(engine, record);
  } catch (cause) {
    throw new TareError('failed-precondition', `Cannot kill container ${nameOrId}: it ended meanwhile`, { cause });
  } finally {
    monitor.close();
  }
}
