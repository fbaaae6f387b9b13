import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createFile, ifPresent } from './_file.ts';
import { removeLayerFiles, type StoreParts } from './_parts.ts';
import { isId, isIncomplete, object, type Row, text, texts } from './record.ts';
import type { LockedTable } from './table.ts';
import { recoverTempDirs, TempDir } from './temp-dir.ts';

/** In the temporary directory of an operation: the layers it may leave without an owner when it is killed. */
const INTENT = 'tare-layers';

/** Notes, before the first change, which layers nobody may own any more should this process die now. */
export function noteIntent(temp: TempDir, layerIds: readonly string[]): void {
  createFile(join(temp.path, INTENT), layerIds.join('\n'));
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
  containers.drop(containers.rows().filter((row) => ids.has(text(row.raw, 'layer') ?? '')));
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

/** Finishes what dead processes began: their temporary directories, incomplete layers, layers they left without an owner. */
export async function recover(parts: StoreParts): Promise<void> {
  const orphans = new Set<string>();
  const stale = await recoverTempDirs(parts.dirs.tempDirs, async (path) => {
    for (const id of ifPresent(() => readFileSync(join(path, INTENT), 'latin1'))?.split('\n') ?? [])
      if (isId(id)) orphans.add(id);
    if (orphans.size > 0) await dropOrphans(parts, [...orphans]);
  });
  if (stale + (await recoverTempDirs(parts.dirs.metaTempDirs)) === 0) return;
  await using temp = TempDir.create(parts.dirs);
  using layers = await parts.layers.lock();
  await dropIncompleteLayers(parts, layers, layers.rows(), temp);
}

async function dropOrphans(parts: StoreParts, ids: readonly string[]): Promise<void> {
  await using temp = TempDir.create(parts.dirs);
  noteIntent(temp, ids);
  using layers = await parts.layers.lock();
  await dropIncompleteLayers(parts, layers, layers.rows(), temp);
  using images = await parts.images.lock();
  using containers = await parts.containers.lock();
  deleteLayers(parts, layers, unneededLayers(ids, layers.rows(), images.rows(), containers.rows()), temp);
}
