import { blobsUsage } from './disk-usage.ts';
import type { Engine } from './engine.ts';
import { pruneBlobs } from './kept-blobs.ts';
import { pruneContainers } from './prune-containers.ts';
import { pruneImages } from './prune-images.ts';
import { reconcileAll } from './reconcile.ts';

/** What a clean-up removed. */
export interface PrunedSystem {
  readonly pods: readonly string[];
  readonly containers: readonly string[];
  readonly images: readonly string[];
  /** Names. */
  readonly volumes: readonly string[];
  readonly freedBytes: number;
}

/**
 * Removes what nobody uses: pods that have ended, containers that do not run (with `volumes` also anonymous volumes, those with names too when `all` is said), images without a name (with `all` every image that no container is of), kept blobs whose layers are gone, and what killed
 * processes left. Errors: denied; those of the store.
 */
export async function pruneSystem(
  engine: Engine,
  options: { readonly all?: boolean; readonly volumes?: boolean } = {},
): Promise<PrunedSystem> {
  await reconcileAll(engine);
  const pods = await (await import('./pods/remove-pod.ts')).prunePods(engine);
  const containers = await pruneContainers(engine, { measure: true });
  const volumes =
    options.volumes === true
      ? await (await import('./volumes/prune-volumes.ts')).pruneVolumes(engine, { all: options.all === true })
      : { removed: [], freedBytes: 0 };
  const store = await engine.store();
  const measure = async (): Promise<number> =>
    store.layers().reduce((bytes, layer) => bytes + (layer.sizeBytes ?? 0), (await blobsUsage(engine)).sizeBytes);
  const before = await measure();
  const images = await pruneImages(engine, { all: options.all === true });
  await pruneBlobs(engine, store);
  const freedBytes = containers.freedBytes + volumes.freedBytes + Math.max(0, before - (await measure()));
  return { pods, containers: containers.removed, images, volumes: volumes.removed, freedBytes };
}
