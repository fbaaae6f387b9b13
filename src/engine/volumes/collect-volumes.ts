import { lstatSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Fd } from '../../sys/fd.ts';
import { tryLock } from '../../sys/lock.ts';
import { removeTreeSync } from '../../sys/remove-tree.ts';
import { emptyTrash } from '../delete.ts';
import type { Engine } from '../engine.ts';
import { GATE, NEW } from './create-volume.ts';
import { dropVolume } from './remove-volume.ts';
import { ownerPrefix, readableVolume, volumeNames } from './volume.ts';

/**
 * Deletes what dead processes left: volumes that never got a name, halves of removed ones, and anonymous volumes of containers that removed themselves, or whose machine was turned off
 * meanwhile. Leaves alone what somebody is at. Idempotent.
 */
export async function collectVolumes(engine: Engine): Promise<void> {
  dropNameless(engine);
  emptyTrash(engine);
  for (const name of volumeNames(engine)) {
    if (!/^[0-9a-f]{64}$/.test(name)) continue;
    const record = readableVolume(engine, name);
    if (record?.ephemeral !== true || record.container === undefined) continue;
    if (lstatSync(join(engine.containersDir, record.container), { throwIfNoEntry: false }) === undefined)
      await dropVolume(engine, name);
  }
}

/** The anonymous volumes of a container that nobody knows more of than its id: its creation died before it had a record, or its records went with the memory. */
export async function dropVolumesOf(engine: Engine, containerId: string): Promise<void> {
  const prefix = ownerPrefix(containerId);
  for (const name of volumeNames(engine)) {
    if (!name.startsWith(prefix) || readableVolume(engine, name)?.container !== containerId) continue;
    await dropVolume(engine, name, containerId);
  }
}

function dropNameless(engine: Engine): void {
  let nameless: string[];
  try {
    nameless = readdirSync(engine.volumesDir).filter((name) => name.startsWith(NEW));
  } catch {
    return;
  }
  if (nameless.length === 0) return;
  using gate = Fd.adopt(openSync(join(engine.volumesDir, GATE), 'a+', 0o600));
  if (!tryLock(gate, 'write')) return;
  for (const name of nameless) removeTreeSync(join(engine.volumesDir, name));
}
