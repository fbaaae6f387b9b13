import { connectMonitor } from './connect.ts';
import { connection } from './connection.ts';
import type { Engine } from './engine.ts';
import { refusePaused } from './refuse-paused.ts';
import { readRecord } from './record.ts';
import type { Running } from './running.ts';

/**
 * Connects to a running container's streams, from now on. Errors: not-found; failed-precondition when it does not run.
 */
export async function attachContainer(
  engine: Engine,
  nameOrId: string,
  how: { readonly stdin: boolean },
): Promise<Running> {
  const { id, monitor } = await connectMonitor(engine, nameOrId, 'attach to');
  const record = readRecord(engine, id);
  try {
    refusePaused(record, 'attach to');
  } catch (error) {
    monitor.close();
    throw error;
  }
  monitor.attach({ stdin: how.stdin && record.openStdin, stdout: true, stderr: true });
  const { pid } = await monitor.hello;
  return connection(monitor, { id, name: record.name, pid, warnings: [] });
}
