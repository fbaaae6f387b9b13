import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isKind } from '../base/errors.ts';
import { createFile } from './_file.ts';
import { imageDir, removeLayerFiles, type StoreParts } from './_parts.ts';
import { isId, isIncomplete, object, type RawRecord, type Row, text, texts } from './record.ts';
import type { LockedTable } from './table.ts';
import { recoverTempDirs, TempDir } from './temp-dir.ts';

/** In the temporary directory of an operation. */
const INTENT = 'tare-intent.json';

/** What an operation may leave without an owner when it is killed. */
export interface Intent {
  readonly layers: readonly string[];
  readonly image: string;
}

/** Notes, before the first change, whose owner nobody may know any more should this process die now. */
export function noteIntent(temp: TempDir, intent: Intent): void {
  createFile(join(temp.path, INTENT), JSON.stringify(intent));
}

function readIntent(path: string): Intent {
  try {
    const json = JSON.parse(readFileSync(join(path, INTENT), 'utf8')) as RawRecord;
    const image = text(json, 'image') ?? '';
    return { layers: texts(json, 'layers').filter(isId), image: isId(image) ? image : '' };
  } catch {
    // None, or cut short: then nothing had been changed yet.
    return { layers: [], image: '' };
  }
}

/**
 * Deletes among `rows` the layers that a dead process left incomplete, with the containers made on them. Whoever holds the write lock of the layers may: a live
 * writer would hold it.
 */
export async function dropIncompleteLayers(
  parts: StoreParts,
  layers: LockedTable,
  rows: readonly Row[],
  temp: TempDir,
): Promise<void> {
  const dead = rows.filter(isIncomplete);
  if (dead.length === 0) return;
  const ids = new Set(dead.map((row) => row.id));
  for (const { id } of dead) {
    removeLayerFiles(parts, id, temp);
    await parts.mounts.clear(id);
  }
  using containers = await parts.containers.lock();
  const lost = containers.rows().filter((row) => ids.has(text(row.raw, 'layer') ?? ''));
  for (const { id } of lost) temp.takeMeta(join(parts.graphRoot, 'overlay-containers', id));
  containers.drop(lost);
  layers.drop(dead);
}

/** Layers that something needs: another layer, an image, a container. */
export function neededLayers(layers: readonly Row[], images: readonly Row[], containers: readonly Row[]): Set<string> {
  const needed = new Set<string>();
  const add = (id: string | undefined): void => {
    if (id !== undefined) needed.add(id);
  };
  for (const { raw } of layers) add(text(raw, 'parent'));
  for (const { raw } of images) {
    add(text(raw, 'layer'));
    for (const id of texts(raw, 'mapped-layers')) add(id);
  }
  for (const { raw } of containers) add(text(raw, 'layer'));
  return needed;
}

/**
 * Which of the layers `from`, and then of their parents, nobody needs once the images and containers are as given. Named and unfinished ones stay.
 */
export function unneededLayers(
  from: readonly string[],
  layers: readonly Row[],
  images: readonly Row[],
  containers: readonly Row[],
): Row[] {
  const byId = new Map(layers.map((row) => [row.id, row]));
  const result: Row[] = [];
  const remaining = new Set(layers);
  const queue = [...from];
  for (let id = queue.shift(); id !== undefined; id = queue.shift()) {
    const row = byId.get(id);
    if (row === undefined || !remaining.has(row) || texts(row.raw, 'names').length > 0) continue;
    if (object(row.raw, 'flags')['incomplete'] === true) continue;
    if (neededLayers([...remaining], images, containers).has(id)) continue;
    remaining.delete(row);
    result.push(row);
    const parent = text(row.raw, 'parent');
    if (parent !== undefined) queue.push(parent);
  }
  return result;
}

/** Deletes layers nobody needs. The caller holds the locks of the layers and of whatever could come to need them. */
export function deleteLayers(parts: StoreParts, layers: LockedTable, rows: readonly Row[], temp: TempDir): void {
  if (rows.length === 0) return;
  layers.put(
    rows.map((row) => ({ ...row, raw: { ...row.raw, flags: { ...object(row.raw, 'flags'), incomplete: true } } })),
  );
  for (const { id } of rows) removeLayerFiles(parts, id, temp);
  layers.drop(rows);
}

/** Finishes what dead processes began: their temporary files and directories, incomplete layers, layers they left without an owner. */
export async function recover(parts: StoreParts): Promise<void> {
  for (const table of [parts.layers, parts.images, parts.containers]) table.sweep();
  await recoverTempDirs(parts.dirs.tempDirs, async (path) => {
    const intent = readIntent(path);
    if (intent.image !== '') await dropOrphans(parts, intent);
  });
  await recoverTempDirs(parts.dirs.metaTempDirs);
  const incomplete = readable(() => parts.layers.mentioning('incomplete')).some(isIncomplete);
  if (!incomplete && !hasStrays(parts)) return;
  await using temp = TempDir.create(parts.dirs);
  // A live writer has the lock: what it has not finished is none of our business.
  using layers = parts.layers.tryLock();
  if (layers === undefined) return;
  await dropIncompleteLayers(parts, layers, layers.rows(), temp);
  await dropStrays(parts, layers, temp);
}

/** A damaged list is for the one who needs it to complain about. */
function readable(rows: () => readonly Row[]): readonly Row[] {
  try {
    return rows();
  } catch (error) {
    if (isKind(error, 'failed-precondition')) return [];
    throw error;
  }
}

/** Of more containers than this nobody looks for strays at every start. */
const MANY = 200;

/** A quick look: a container without its layer's directory. */
function hasStrays(parts: StoreParts): boolean {
  const rows = readable(() => parts.containers.rows());
  if (rows.length > MANY) return false;
  return rows.some(({ raw }) => {
    const layer = text(raw, 'layer');
    return isId(layer) && !parts.dirs.exists(layer);
  });
}

/** Deletes containers whose layer is gone: their maker was killed, and podman deleted the layer, which it found incomplete, without the container. */
async function dropStrays(parts: StoreParts, layers: LockedTable, temp: TempDir): Promise<void> {
  using containers = await parts.containers.lock();
  const known = new Set(layers.rows().map((row) => row.id));
  const strays = containers.rows().filter(({ raw }) => {
    const layer = text(raw, 'layer');
    return layer !== undefined && !known.has(layer);
  });
  for (const { id } of strays) temp.takeMeta(join(parts.graphRoot, 'overlay-containers', id));
  containers.drop(strays);
}

async function dropOrphans(parts: StoreParts, intent: Intent): Promise<void> {
  await using temp = TempDir.create(parts.dirs);
  noteIntent(temp, intent);
  using layers = await parts.layers.lock();
  await dropIncompleteLayers(parts, layers, layers.rows(), temp);
  using images = await parts.images.lock();
  using containers = await parts.containers.lock();
  if (images.find(intent.image) === undefined) temp.takeMeta(imageDir(parts, intent.image));
  const orphans = unneededLayers(intent.layers, layers.rows(), images.rows(), containers.rows());
  deleteLayers(parts, layers, orphans, temp);
}
