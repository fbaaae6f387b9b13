import { monotonicMs, sleep } from '../base/clock.ts';
import { type ExitRecord, isLifeHeld, openLife, readExit, readPhase } from '../runtime/state.ts';
import { lockWait } from '../sys/lock.ts';
import { emptyTrash } from './delete.ts';
import type { Engine } from './engine.ts';
import { reconcile } from './reconcile.ts';
import { containerDir, findRecord } from './record.ts';

/** A dying monitor unmounts the root file system before it lets go of the life lock. */
const DYING_MS = 10_000;

/**
 * What a monitor runs as its last act (`tare cleanup ID`): waits until the monitor has let go of the life lock, then collects the container as any
 * command would. Idempotent; a container that is gone is fine. Errors: cancelled.
 */
export async function cleanupContainer(
  engine: Engine,
  id: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const dir = containerDir(engine, id);
  let life;
  try {
    life = openLife(dir);
  } catch {
    return;
  }
  try {
    await lockWait(life, 'write', options);
  } finally {
    life.close();
  }
  const record = findRecord(engine, id);
  await reconcile(engine, id);
  if ((record?.pod ?? record?.sandbox) !== undefined && record !== undefined)
    await (await import('./pods/settle-pod.ts')).settlePod(engine, record, { waits: true });
  emptyTrash(engine);
}

/**
 * What a client does whose monitor died: waits until it is dead, collects the container, and says how that ended where the monitor had recorded it. Nothing to do
 * when the container is gone, or when somebody else has taken it.
 */
export async function collectLost(engine: Engine, id: string): Promise<ExitRecord | undefined> {
  const dir = containerDir(engine, id);
  const deadline = monotonicMs() + DYING_MS;
  while (isLifeHeld(dir) === true && monotonicMs() < deadline) await sleep(2);
  const exit = readPhase(dir) === 'exited' ? readExit(dir) : undefined;
  // When that fails, the next command says why.
  await reconcile(engine, id).catch(() => {});
  return exit;
}
