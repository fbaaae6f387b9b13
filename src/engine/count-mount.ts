import { statSync } from 'node:fs';
import { join } from 'node:path';
import { isKind } from '../base/errors.ts';
import type { Engine } from './engine.ts';
import type { ContainerRecord } from './record.ts';

/**
 * Tells the other tools that share the store whether the root file system of a container is mounted, so that they leave it alone. The caller holds the container's life lock, or its
 * monitor does. Nothing to do for a container that is not from an image, or whose record in the store is gone.
 */
export async function countMount(engine: Engine, record: ContainerRecord, mounted: boolean): Promise<void> {
  if (record.source.kind !== 'image') return;
  try {
    await (await engine.store()).markMounted(record.id, mounted);
  } catch (error) {
    if (!isKind(error, 'not-found')) throw error;
  }
}

/** Whether anything of the store counts as mounted: one stat(2), before the store is opened to look closer. */
export function anyMounts(engine: Engine): boolean {
  const path = join(engine.storageRunRoot, 'overlay-layers', 'mountpoints.json');
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  return size !== undefined && size > '[]'.length;
}
