import { lockWait } from '../sys/lock.ts';
import type { Engine } from './engine.ts';
import { reconcile } from './reconcile.ts';
import { containerDir } from './record.ts';
import { emptyTrash } from './delete.ts';
import { openLife } from '../runtime/state.ts';

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
  await reconcile(engine, id);
  emptyTrash(engine);
}
