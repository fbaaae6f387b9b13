import { isInPhase } from '../runtime/state.ts';
import { containerActor, emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { beginRestart } from './restarting.ts';
import { resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';
import { containerDir, readRecord } from './record.ts';
import { startAgain, stopFirst } from './start-again.ts';
import type { StopOptions } from './stop.ts';

/**
 * Stops a container, if it runs, and starts it again; one that is to remove itself when it has ended stays for it. Restarts of one container at a time take turns. Returns
 * warnings. Whoever is attached to it sees it end.
 *
 * Errors: not-found; invalid signal; LaunchError when it cannot start again; failed-precondition while somebody removes it.
 */
export async function restartContainer(
  engine: Engine,
  nameOrId: string,
  options: Omit<StopOptions, 'untilRemoved'> = {},
): Promise<readonly string[]> {
  const id = resolveContainer(engine, nameOrId);
  await reconcile(engine, id);
  // Of two at once, one would wait for the end of what the other has started.
  const hold = await beginRestart(containerDir(engine, id));
  try {
    return await stopAndStart(engine, id, options);
  } finally {
    hold[Symbol.dispose]();
    // When it could not start again, it has ended for good.
    await reconcile(engine, id);
  }
}

async function stopAndStart(engine: Engine, id: string, options: StopOptions): Promise<readonly string[]> {
  // One that waits for its start has nothing to stop.
  if (!isInPhase(containerDir(engine, id), 'initialized')) await stopFirst(engine, id, options);
  const { warnings } = await startAgain(engine, id, { attach: false, stdin: false });
  emit(engine, { ...containerActor(readRecord(engine, id)), action: 'restart' });
  return warnings;
}
