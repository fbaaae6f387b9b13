import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isInPhase } from '../../runtime/state.ts';
import type { Engine } from '../engine.ts';
import { type ContainerRecord, containerDir, VOLUMES_TOO } from '../record.ts';
import { dropVolumesOf } from './collect-volumes.ts';
import { dropVolume } from './remove-volume.ts';
import { imageMountId } from './take-image.ts';

/**
 * Gives up what was made for the mounts of a container that is being deleted, while its directory is still there: the next command finishes what a kill leaves. Anonymous volumes go when that was asked for, when the
 * container removes itself, and when it never came to be; not while another container uses them. Idempotent.
 */
export async function letGoMounts(engine: Engine, id: string, record: ContainerRecord | undefined): Promise<void> {
  if (record === undefined) {
    await dropVolumesOf(engine, id);
    if (!existsSync(join(engine.storageRoot, 'overlay-containers'))) return;
    const store = await engine.openStore();
    for (let index = 1; await store.removeContainer(imageMountId(id, index)); index++) continue;
    return;
  }
  const dir = containerDir(engine, id);
  const drops = record.autoRemove || isInPhase(dir, 'creating') || existsSync(join(dir, VOLUMES_TOO));
  for (const mount of record.mounts ?? []) {
    if (mount.type === 'image') await (await engine.openStore()).removeContainer(mount.layerOf);
    if (mount.type === 'volume' && mount.anonymous === true && drops) await dropVolume(engine, mount.name, id);
  }
}
