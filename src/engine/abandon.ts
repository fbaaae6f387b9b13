import { isErrno } from '../sys/error.ts';
import { isKind } from '../base/errors.ts';
import { MonitorClient } from '../sys/monitor/client.ts';
import { type Engine, socketPath } from './engine.ts';
import { signalUnreachable } from './stop-unreachable.ts';

const SIGKILL = 9;

/**
 * Ends a container that waits for its start, unless somebody told it to start meanwhile: whoever calls this looks again. Its monitor lets go of it a moment later.
 */
export async function abandonContainer(engine: Engine, id: string): Promise<void> {
  try {
    using monitor = await MonitorClient.connect(socketPath(engine, id));
    await monitor.abandon();
  } catch (error) {
    // Nobody can tell it to start when its socket is gone (a logout).
    if (isKind(error, 'not-found')) return signalUnreachable(engine, id, SIGKILL);
    if (!isErrno(error, 'EBUSY') && !isKind(error, 'unavailable')) throw error;
  }
}
