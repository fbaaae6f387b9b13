import { isKind } from '../base/errors.ts';
import type { Engine } from './engine.ts';
import { pruneBlobs } from './kept-blobs.ts';

/** Deletes images without a name that no container uses; with `all` also those with names. Returns the ids of what was deleted. */
export async function pruneImages(engine: Engine, options: { readonly all?: boolean } = {}): Promise<string[]> {
  const store = await engine.store();
  const used = new Set(store.containers().map(({ imageId }) => imageId));
  const deleted: string[] = [];
  for (const { id, names } of store.images()) {
    if (used.has(id) || (names.length > 0 && options.all !== true)) continue;
    try {
      const removed = await store.removeImage(id, { force: true });
      if (removed.deleted !== undefined) deleted.push(removed.deleted);
    } catch (error) {
      // Somebody began to use it, or was faster.
      if (!isKind(error, 'failed-precondition') && !isKind(error, 'not-found')) throw error;
    }
  }
  if (deleted.length > 0) await pruneBlobs(engine, store);
  return deleted;
}
