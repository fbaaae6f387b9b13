import { isKind } from '../base/errors.ts';
import { tryChange } from './change.ts';
import type { Engine } from './engine.ts';
import { releaseOtherNames } from './names.ts';
import { type ContainerRecord, findRecord } from './record.ts';

/**
 * Releases the name too many that a killed renaming of a container left. While somebody changes the container, its names are theirs: then nothing is done. Two that take names
 * from each other so never wait for each other.
 */
export async function settleHolder(engine: Engine, id: string): Promise<void> {
  using change = tryChange(engine, id, 'look at');
  if (change === undefined) return;
  const record = findRecord(engine, id);
  if (record !== undefined) await settleNames(engine, record);
}

/**
 * Makes the names of a container what its record says: a renaming that was killed leaves one too many. The caller has begun a change of it.
 * Errors: those of the store.
 */
export async function settleNames(engine: Engine, record: ContainerRecord): Promise<void> {
  releaseOtherNames(engine, record.id, record.name);
  await nameInStore(engine, record, record.name);
}

/** Podman and the others see the containers of the store by name. One that is not in the store has none there. */
export async function nameInStore(engine: Engine, record: ContainerRecord, name: string): Promise<void> {
  if (record.source.kind !== 'image') return;
  try {
    await (await engine.store()).renameContainer(record.id, name);
  } catch (error) {
    if (!isKind(error, 'not-found')) throw error;
  }
}
