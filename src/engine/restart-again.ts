import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { isKind } from '../base/errors.ts';
import { isErrno } from '../sys/error.ts';
import { requestHandOver } from '../sys/monitor/mount-request.ts';
import { countMount } from './count-mount.ts';
import { type Engine, ensureLayout, socketPath } from './engine.ts';
import { launchContainer } from './launch.ts';
import { reconcile } from './reconcile.ts';
import { containerDir, readConfig, readRecord } from './record.ts';
import { rootfsOf } from './start.ts';
import { HEALTH_FILE, readRestart } from './supervision-state.ts';
import type { Fd } from '../sys/fd.ts';

/**
 * What a monitor runs (`tare cleanup --again ID`) whose container got its restart policy after its start: it kept nothing that a next start needs. Its successor does; the life lock goes
 * from one to the other, so that nobody else ever finds the container free, and the phase stays `running`. One that needs nobody (any more) is left alone. When we are killed before we
 * have the lock, the monitor tries again; after that it is as if a monitor was killed.
 *
 * Errors: LaunchError: the container has ended then.
 */
export async function restartAgain(engine: Engine, id: string): Promise<void> {
  const dir = containerDir(engine, id);
  const count = readRestart(dir).count + 1;
  let life: Fd;
  try {
    life = requestHandOver(socketPath(engine, id));
  } catch (error) {
    // It was stopped, removed, or another one was faster.
    if (isErrno(error, 'EBUSY') || isKind(error, 'unavailable') || isKind(error, 'not-found')) return;
    throw error;
  }
  try {
    ensureLayout(engine);
    const record = readRecord(engine, id);
    rmSync(join(dir, HEALTH_FILE), { force: true });
    await countMount(engine, record, true);
    const running = await launchContainer(
      engine,
      record,
      readConfig(engine, id),
      await rootfsOf(engine, record),
      life,
      {
        attach: { stdin: false, output: false },
        owner: false,
        detach: true,
        warnings: [],
        restarts: count,
      },
    );
    running.close();
  } finally {
    life.close();
    // Does nothing when it runs.
    await reconcile(engine, id);
  }
}
