import type { Engine } from './engine.ts';
import { reconcile } from './reconcile.ts';
import { containerDir, readRecord } from './record.ts';
import { beginRestart } from './restarting.ts';
import type { Running } from './running.ts';
import { startAgain, stopFirst } from './start-again.ts';
import type { StopOptions } from './stop.ts';

/**
 * Restarts a container that belongs to this process, which stays its owner. `ended` settles when this process is done with the run before.
 *
 * Errors: as `restartContainer`; it is removed when it cannot start again.
 */
export async function restartOwned(
  engine: Engine,
  id: string,
  options: Omit<StopOptions, 'untilRemoved'>,
  ended: () => Promise<unknown>,
): Promise<Running> {
  const { openStdin } = readRecord(engine, id);
  const hold = await beginRestart(containerDir(engine, id));
  try {
    await stopFirst(engine, id, options);
    await ended();
    return await startAgain(engine, id, { attach: true, stdin: openStdin, owner: true });
  } finally {
    hold[Symbol.dispose]();
    await reconcile(engine, id);
  }
}
