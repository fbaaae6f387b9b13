import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { MountIds, OverlayMount } from '../spec/mount.ts';
import { removeTreeSync } from '../sys/remove-tree.ts';
import { storageError, type Sync } from './_file.ts';
import { removeLayerFiles, type StoreParts } from './_parts.ts';
import { findImage } from './image-names.ts';
import { hasMountProgram } from './mount-program.ts';
import { type ContainerRecord, containerOf, isIncomplete, object, requireId, type Row, text, texts } from './record.ts';
import { dropIncompleteLayers } from './recover.ts';
import type { LockedTable } from './table.ts';
import { TempDir } from './temp-dir.ts';

export interface ContainerCreate {
  /** 64 hex digits. */
  readonly id: string;
  readonly name?: string;
  readonly imageId: string;
  /** It need not survive a crash of the machine: nothing is synced, and its root file system is mounted `volatile`. */
  readonly volatile: boolean;
  /** Its root file system is mounted right away, and counts as such from the start. */
  readonly mounted?: boolean;
  /** The creator's own, mostly JSON. */
  readonly metadata: string;
  /** Whom its ids are on the machine. Others that share the store give those to nobody else. */
  readonly ids?: MountIds;
}

export interface CreatedContainer extends ContainerRecord {
  /** As `containerRootfs` says it. */
  readonly rootfs: OverlayMount;
}

/**
 * Adds a container and its writable layer on top of an image, in one locked step.
 *
 * Errors: `not-found` for the image; `already-exists` for the id or name; `exhausted`, with nothing left behind.
 */
export async function createContainer(
  parts: StoreParts,
  create: ContainerCreate,
  signal?: AbortSignal,
): Promise<CreatedContainer> {
  requireId(create.id, 'container id');
  const { volatile } = create;
  const created = parts.now().toISOString();
  const layerId = layerOfContainer(create.id);
  const ids = create.ids === undefined ? {} : (await import('./id-maps.ts')).idMapsRaw(create.ids);
  using layers = await parts.layers.lock(signal);
  // No image goes away while we hold the layers, so images are only read.
  const image = findImage(parts.images.mentioning(create.imageId), create.imageId);
  if (image === undefined)
    throw new TareError('not-found', `Cannot create container: there is no image ${create.imageId}`);
  const parent = text(image.raw, 'layer');
  if (parent === undefined || !parts.dirs.exists(parent))
    throw new TareError(
      'failed-precondition',
      `Cannot create container: image ${create.imageId} has no root file system; pull it again`,
    );
  await dropDead(parts, layers, volatile);
  using containers = await parts.containers.lock(signal);
  for (const other of containers.rows()) {
    if (other.id === create.id)
      throw new TareError('already-exists', `Cannot create container ${create.id}: the id is in use`);
    if (create.name !== undefined && texts(other.raw, 'names').includes(create.name)) {
      throw new TareError(
        'already-exists',
        `Cannot create container ${create.name}: container ${other.id.slice(0, 12)} has that name`,
      );
    }
  }
  const below = parts.dirs.withLowers(parent);
  const layer: Row = { id: layerId, raw: { id: layerId, parent, created, ...ids }, volatile };
  const row: Row = {
    id: create.id,
    raw: {
      id: create.id,
      ...(create.name === undefined ? {} : { names: [create.name] }),
      image: image.id,
      layer: layerId,
      metadata: create.metadata,
      created,
      ...ids,
      flags: { MountLabel: '', ProcessLabel: '', ...(volatile ? { Volatile: true } : {}) },
    },
    // Podman 4 reads no volatile records: an image would be free for it to remove while this container runs.
    volatile: false,
  };
  const incomplete: Row = { ...layer, raw: { ...layer.raw, flags: { incomplete: true } } };
  try {
    layers.put([incomplete]);
    const dir = parts.dirs.at(layerId);
    mkdirSync(dir, { mode: 0o700 });
    const link = parts.dirs.prepare(dir, parent, true, below);
    parts.dirs.publishLink(layerId, link);
    containers.put([row], syncOf(row));
    if (create.mounted === true) await parts.mounts.add(layerId, parts.dirs.at(layerId, 'merged'), 1);
    // Last: until here the next writer would delete the layer and the container with it.
    layers.put([layer]);
  } catch (error) {
    await undo(parts, layers, containers, incomplete, row);
    throw storageError(`create container ${create.name ?? create.id.slice(0, 12)}`, error);
  }
  return { ...containerOf(row), rootfs: overlayOf(parts, layerId, volatile, below) };
}

/** The id of a container's layer: found again also when somebody removed the container's record and did not know the layer's. */
function layerOfContainer(id: string): string {
  return [...id].reverse().join('');
}

/** How its record is written: that of a volatile container may be lost, the others in the file may not. */
function syncOf(container: Row): Sync {
  return isVolatile(container) ? 'ordered' : 'data';
}

function isVolatile(container: Row): boolean {
  return container.volatile || object(container.raw, 'flags')['Volatile'] === true;
}

async function undo(
  parts: StoreParts,
  layers: LockedTable,
  containers: LockedTable,
  layer: Row,
  container: Row,
): Promise<void> {
  try {
    // Deleted, not moved away: on a full disk that makes the room to write the records.
    parts.dirs.delete(layer.id);
    await parts.mounts.clear(layer.id);
    containers.drop([container], syncOf(container));
    layers.drop([layer]);
  } catch {
    // No room even for that: the layer stays marked incomplete, and the next writer deletes both.
  }
}

/** Clears away what killed processes left among the records that this operation reads anyway. */
async function dropDead(parts: StoreParts, layers: LockedTable, volatile: boolean): Promise<void> {
  const rows = volatile ? layers.volatileRows() : layers.rows();
  if (!rows.some(isIncomplete)) return;
  await using temp = TempDir.create(parts.dirs);
  await dropIncompleteLayers(parts, layers, rows, temp);
}

/** Gives a container another name. Idempotent. Errors: `not-found`; `already-exists` for a name of another container, podman's too. */
export async function renameContainer(
  parts: StoreParts,
  id: string,
  name: string,
  signal?: AbortSignal,
): Promise<void> {
  requireId(id, 'container id');
  const isNamed = (row: Row | undefined): boolean => row !== undefined && texts(row.raw, 'names')[0] === name;
  if (isNamed(parts.containers.mentioning(id).find((row) => row.id === id))) return;
  using containers = await parts.containers.lock(signal);
  const row = containers.find(id);
  if (row === undefined) throw new TareError('not-found', `Cannot rename container ${id}: it is not in the store`);
  const holder = containers.rows().find((other) => other.id !== id && texts(other.raw, 'names').includes(name));
  if (holder !== undefined)
    throw new TareError(
      'already-exists',
      `Cannot use name ${name}: container ${holder.id.slice(0, 12)} of the image store has it; choose another name`,
    );
  containers.put([{ ...row, raw: { ...row.raw, names: [name] } }], syncOf(row));
}

/**
 * Deletes a container with its writable layer. Idempotent: resolves to false when there is none. Its files are renamed away under the locks and deleted
 * after them.
 */
export async function removeContainer(parts: StoreParts, id: string, signal?: AbortSignal): Promise<boolean> {
  requireId(id, 'container id');
  const isRecorded = (table: StoreParts['layers'], wanted: string): boolean =>
    table.mentioning(wanted).some((row) => row.id === wanted);
  if (!isRecorded(parts.containers, id) && !isRecorded(parts.layers, layerOfContainer(id))) return false;
  await using temp = TempDir.create(parts.dirs);
  using layers = await parts.layers.lock(signal);
  using containers = await parts.containers.lock(signal);
  const row = containers.find(id);
  const layer = layers.find((row && text(row.raw, 'layer')) ?? layerOfContainer(id));
  if (row === undefined && layer === undefined) return false;
  if (layer !== undefined) {
    const flags = { ...object(layer.raw, 'flags'), incomplete: true };
    layers.put([{ ...layer, raw: { ...layer.raw, flags } }]);
    removeLayerFiles(parts, layer.id, temp);
    await parts.mounts.clear(layer.id);
  }
  temp.takeMeta(join(parts.graphRoot, 'overlay-containers', id));
  removeTreeSync(join(parts.runRoot, 'overlay-containers', id));
  if (row !== undefined) containers.drop([row], syncOf(row));
  if (layer !== undefined) layers.drop([layer]);
  return true;
}

/** How the root file system of a container is put together. Reads, takes no lock. Errors: `not-found`; `failed-precondition` for a damaged store. */
export function containerRootfs(parts: StoreParts, id: string): OverlayMount {
  const row = parts.containers.mentioning(id).find((candidate) => candidate.id === id);
  const layer = row === undefined ? undefined : text(row.raw, 'layer');
  if (row === undefined || layer === undefined)
    throw new TareError('not-found', `Cannot find container ${id} in the store`);
  requireId(layer, 'layer id');
  return overlayOf(parts, layer, isVolatile(row));
}

/** `lowers`: of a layer that was just made, those below it. */
function overlayOf(parts: StoreParts, layer: string, volatile: boolean, lowers?: readonly string[]): OverlayMount {
  // The mark of an earlier volatile mount; what it warns of cannot matter to a layer that may be lost anyway.
  if (volatile && lowers === undefined) removeTreeSync(parts.dirs.at(layer, 'work', 'work', 'incompat', 'volatile'));
  return {
    kind: 'overlay',
    lowers: parts.dirs.lowers(layer, lowers),
    upper: parts.dirs.at(layer, 'diff'),
    work: parts.dirs.at(layer, 'work'),
    options: [...(volatile ? ['volatile'] : []), ...(parts.userXattr ? ['userxattr'] : [])],
    ...(hasMountProgram(parts.dirs.home) ? { fuse: true } : {}),
  };
}
