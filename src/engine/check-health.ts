import { TareError } from '../base/errors.ts';
import { isErrno } from '../sys/error.ts';
import { connectMonitor } from './connect.ts';
import type { Engine } from './engine.ts';
import { resolveContainer } from './names.ts';
import { containerDir, readRecord } from './record.ts';
import { type HealthResult, type HealthState, readHealth } from './supervision-state.ts';

/**
 * Checks the health of a running container now, as its monitor does on its own: the result counts. A check that is under way is waited for.
 *
 * Errors: not-found; failed-precondition when it does not run, is paused, or has no check.
 */
export async function checkHealth(
  engine: Engine,
  nameOrId: string,
): Promise<{ readonly result: HealthResult; readonly health: HealthState }> {
  const id = resolveContainer(engine, nameOrId);
  const record = readRecord(engine, id);
  const cannot = (state: string, cause?: unknown): TareError =>
    new TareError('failed-precondition', `Cannot check health of container ${nameOrId}: ${state}`, { cause });
  if (readHealth(containerDir(engine, id), record) === undefined)
    throw cannot('it has no health check (see --health-cmd)');
  const { monitor } = await connectMonitor(engine, id, 'check health of');
  try {
    await monitor.checkHealth();
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) throw cannot('it is paused', error);
    if (isErrno(error, 'ESRCH')) throw cannot('it has ended', error);
    throw error;
  } finally {
    monitor.close();
  }
  const health = readHealth(containerDir(engine, id), record);
  const result = health?.log.at(-1);
  if (health === undefined || result === undefined) throw cannot('its result could not be recorded');
  return { result, health };
}
