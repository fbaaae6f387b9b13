import { monotonicMs, sleep } from '../base/clock.ts';
import { TareError, isKind } from '../base/errors.ts';
import { readLifeState } from '../runtime/state.ts';
import { isErrno } from '../sys/error.ts';
import { MonitorClient } from '../sys/monitor/client.ts';
import { HelperError } from '../sys/monitor/helper-error.ts';
import { connection } from './connection.ts';
import { type Engine, socketPath } from './engine.ts';
import { cleanUp } from './launch.ts';
import { toLaunchError } from './launch-error.ts';
import { containerDir, readRecord } from './record.ts';
import type { Running } from './running.ts';
import type { StartHow } from './start.ts';

const LEAVING_MS = 10_000;

/**
 * Lets an initialized container go on to its program. Undefined when it does not wait for that (any more): somebody else starts it, or it is ending.
 *
 * Errors: LaunchError; failed-precondition when it was stopped at the same moment.
 */
export async function startInitialized(engine: Engine, id: string, how: StartHow): Promise<Running | undefined> {
  const record = readRecord(engine, id);
  let monitor: MonitorClient;
  try {
    monitor = await MonitorClient.connect(socketPath(engine, id));
  } catch (error) {
    if (isKind(error, 'not-found') || isKind(error, 'unavailable')) return undefined;
    throw error;
  }
  let lives = false;
  const running = connection(monitor, {
    id,
    name: record.name,
    pid: 0,
    warnings: [],
    cleanUp: () => cleanUp(engine, record, false),
    lost: async () => (lives ? (await import('./cleanup.ts')).collectLost(engine, id) : undefined),
  });
  try {
    if (how.attach) {
      void monitor.take(true);
      // Before the start: it misses no output.
      monitor.attach({ stdin: how.stdin && record.openStdin, stdout: true, stderr: true });
    }
    await monitor.start();
    lives = true;
    return Object.assign(running, { pid: await monitor.started });
  } catch (error) {
    monitor.close();
    if (isErrno(error, 'EBUSY')) return undefined;
    if (isKind(error, 'unavailable') && !lives && (await leftBefore(containerDir(engine, id)))) return undefined;
    if (isErrno(error, 'ECANCELED'))
      throw new TareError(
        'failed-precondition',
        `Cannot start container ${record.name}: it was stopped before it started`,
        { cause: error },
      );
    throw toLaunchError(error, await plannedOps(engine, id, error));
  }
}

/** Whether a monitor that did not answer left by itself: it has started nothing then. One that was killed leaves its phase. */
async function leftBefore(dir: string): Promise<boolean> {
  const deadline = monotonicMs() + LEAVING_MS;
  let state = readLifeState(dir);
  for (; state?.phase === 'initialized' && state.held && monotonicMs() < deadline; state = readLifeState(dir))
    await sleep(2);
  return state?.phase !== 'initialized' && (state?.phase !== 'running' || state.held);
}

/** What the step is called at which it failed: the Plan is not kept, and is the same when made again. */
async function plannedOps(engine: Engine, id: string, error: unknown): ReturnType<typeof opsOf> {
  return error instanceof HelperError ? opsOf(engine, id).catch(() => []) : [];
}

async function opsOf(engine: Engine, id: string): Promise<Parameters<typeof toLaunchError>[1]> {
  const { compileContainer } = await import('./plan.ts');
  return (await compileContainer(engine, id)).ops;
}
