import { isKind } from '../base/errors.ts';
import { emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { pruneBlobs } from './kept-blobs.ts';
import { type ImageSummary, listImages } from './list-images.ts';

/** Which images are deleted. */
export interface PruneImagesOptions {
  /** Also those with names. */
  readonly all?: boolean;
  /** Of those, the ones for which it is true. */
  readonly select?: (image: ImageSummary) => boolean;
}

/** Deletes images without a name that no container uses and no other image is made of; with `all` also those with names. Returns the ids of what was deleted. */
export async function pruneImages(engine: Engine, options: PruneImagesOptions = {}): Promise<string[]> {
  const store = await engine.store();
  const used = new Set(store.containers().map(({ imageId }) => imageId));
  const summaries = new Map((await listImages(engine)).map((image) => [image.id, image]));
  const deleted: string[] = [];
  for (const { id, names } of store.images()) {
    if (used.has(id) || (names.length > 0 && options.all !== true)) continue;
    const summary = summaries.get(id);
    if (summary === undefined || options.select?.(summary) === false) continue;
    if (options.all !== true && summary.isIntermediate) continue;
    try {
      const removed = await store.removeImage(id, { force: true });
      if (removed.deleted === undefined) continue;
      deleted.push(removed.deleted);
      emit(engine, { type: 'image', action: 'remove', id, name: names[0] ?? id });
    } catch (error) {
      // Somebody began to use it, or was faster.
      if (!isKind(error, 'failed-precondition') && !isKind(error, 'not-found')) throw error;
    }
  }
  if (deleted.length > 0) await pruneBlobs(engine, store);
  return deleted;
}
