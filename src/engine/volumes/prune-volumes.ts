import { isKind } from '../../base/errors.ts';
import type { Engine } from '../engine.ts';
import { reconcileAll } from '../reconcile.ts';
import { listVolumes, type VolumeSummary } from './list-volumes.ts';
import { removeVolume } from './remove-volume.ts';
import { volumeSize } from './volume-size.ts';

export interface PruneVolumesOptions {
  /** Named ones, too: what is in them is gone for good. Default: those that were made for a container. */
  readonly all?: boolean;
  /** Of those, the ones for which it is true. */
  readonly select?: (volume: VolumeSummary) => boolean;
}

/** Removes volumes that no container uses. One that somebody begins to use at that moment stays. Returns their names, and the bytes freed. Errors: denied. */
export async function pruneVolumes(
  engine: Engine,
  options: PruneVolumesOptions = {},
): Promise<{ readonly removed: readonly string[]; readonly freedBytes: number }> {
  // A container that died while it was made uses none.
  await reconcileAll(engine);
  const removed: string[] = [];
  let freedBytes = 0;
  for (const volume of listVolumes(engine)) {
    if (volume.users.length > 0 || (!volume.anonymous && options.all !== true)) continue;
    if (options.select?.(volume) === false) continue;
    const sizeBytes = volumeSize(engine, volume.name);
    try {
      await removeVolume(engine, volume.name);
    } catch (error) {
      if (isKind(error, 'failed-precondition') || isKind(error, 'not-found')) continue;
      throw error;
    }
    removed.push(volume.name);
    freedBytes += sizeBytes;
  }
  return { removed, freedBytes };
}
