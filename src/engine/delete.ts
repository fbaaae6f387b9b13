import { existsSync, lstatSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ifPresent } from '../base/if-present.ts';
import { killCgroup, removeCgroup } from '../runtime/cgroup/mod.ts';
import { scopeOf } from '../runtime/cgroup/scope-path.ts';
import { removeTreeSync } from '../sys/remove-tree.ts';
import { containerCgroup } from './cgroups.ts';
import { containerActor, emit } from './emit.ts';
import { wasChanged } from './change.ts';
import { type Engine, socketPath } from './engine.ts';
import { holdsNetworks, joinsNetworks } from './holds-networks.ts';
import { dropName, releaseOtherNames } from './names.ts';
import { type ContainerRecord, containerDir, findRecord } from './record.ts';

/**
 * Deletes what belongs to a container whose life lock the caller holds (or that never had one): storage record and layer, cgroup, socket, directory, name.
 * The directory goes by one rename into the trash, which any later command empties; until then the next command finds phase `removing` and goes on. The name is free before
 * that: as long as the directory is there, nobody else touches it.
 */
export async function deleteContainer(engine: Engine, id: string, known?: ContainerRecord): Promise<void> {
  const dir = containerDir(engine, id);
  const record = known ?? findRecord(engine, id);
  // Without a record yet, only a creation from an image can have touched the storage.
  const inStorage =
    record === undefined ? existsSync(join(engine.storageRoot, 'overlay-containers')) : record.source.kind === 'image';
  const cgroup = containerCgroup(engine, id, record);
  if (await killCgroup(cgroup)) removeCgroup(cgroup);
  const scope = record === undefined ? undefined : scopeOf(record.cgroupPath);
  if (scope !== undefined) await (await import('./end-scope.ts')).endScope(engine, scope);
  if (record?.sandbox !== undefined)
    await (await import('./pods/pod-cgroup.ts')).removePodCgroup(engine, { sandbox: record.sandbox });
  if (record?.secrets !== undefined) (await import('./secrets/place.ts')).dropPlacedSecrets(engine, id);
  if (record === undefined ? holdsNetworks(engine, id) : joinsNetworks(record))
    await (await import('./leave-networks.ts')).leaveNetworks(engine, id, true);
  if (record === undefined ? existsSync(engine.volumesDir) || inStorage : record.mounts !== undefined)
    await (await import('./volumes/let-go.ts')).letGoMounts(engine, id, record);
  // What others left in the store has nothing to do with it.
  if (inStorage) await (await engine.openStore()).removeContainer(id);
  removeSocket(engine, id);
  mkdirSync(engine.trashDir, { recursive: true, mode: 0o700 });
  const trash = join(engine.trashDir, id);
  if (record !== undefined) dropName(engine, record.name, id);
  ifPresent(() => renameSync(dir, trash));
  if (record?.pod !== undefined) (await import('./pods/members.ts')).dropMember(engine, record.pod.id, id);
  // Until now nobody else may have them.
  if (record === undefined || (record.userns !== undefined && !inStorage))
    rmSync(join(engine.idRangesDir, id), { force: true });
  if (record !== undefined) emit(engine, { ...containerActor(record), action: 'destroy' });
  // It was renamed, maybe by somebody we did not see.
  if (wasChanged(trash)) releaseOtherNames(engine, id);
  removeTrash(engine, id);
}

/** Deletes a container that is in the trash, wherever its parts are. The trash goes last: as long as it is there, the next command goes on. */
function removeTrash(engine: Engine, id: string): void {
  const trash = join(engine.trashDir, id);
  const place = linkedFrom(trash);
  if (place === undefined) return removeTreeSync(trash);
  removeTreeSync(place);
  removeTreeSync(join(engine.scratchDir, id));
  ifPresent(() => unlinkSync(trash));
}

/** Deletes what a removal that died left in the trash. */
export function emptyTrash(engine: Engine): void {
  for (const id of namesIn(engine.trashDir)) removeTrash(engine, id);
}

/** What is in a directory; nothing in one that cannot be read. */
export function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function linkedFrom(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Whether there is such an entry, also a link to what is gone. */
export function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Removes the monitor's socket of a container nobody supervises. */
export function removeSocket(engine: Engine, id: string): void {
  try {
    unlinkSync(socketPath(engine, id));
  } catch {
    // Already gone.
  }
}
