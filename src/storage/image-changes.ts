import { TareError } from '../base/errors.ts';
import { imageDir, type StoreParts } from './_parts.ts';
import { addNames, withoutNames } from './commit-image.ts';
import { requireImage } from './image-names.ts';
import { type ImageRecord, imageOf, type Row, text, texts } from './record.ts';
import { deleteLayers, dropIncompleteLayers, noteIntent, unneededLayers } from './recover.ts';
import { TempDir } from './temp-dir.ts';

/** What removing an image did. */
export interface RemovedImage {
  readonly untagged: readonly string[];
  /** Absent: the image has other names and stays. */
  readonly deleted?: string;
  readonly deletedLayers: readonly string[];
}

/**
 * Takes a name from an image, and deletes the image with the layers nobody else needs when that was its last. By id, an image with several names is only
 * deleted with `force`.
 *
 * Errors: `not-found`; `failed-precondition` while a container uses it, or for several names without `force`.
 */
export async function removeImage(
  parts: StoreParts,
  reference: string,
  options: { readonly force?: boolean; readonly signal?: AbortSignal },
): Promise<RemovedImage> {
  await using temp = TempDir.create(parts.dirs);
  using layers = await parts.layers.lock(options.signal);
  await dropIncompleteLayers(parts, layers, layers.rows(), temp);
  using images = await parts.images.lock(options.signal);
  using containers = await parts.containers.lock(options.signal);
  const row = requireImage(images.rows(), reference);
  const names = texts(row.raw, 'names');
  if (names.includes(reference) && names.length > 1) {
    images.put([{ ...row, raw: { ...row.raw, names: names.filter((name) => name !== reference) } }]);
    return { untagged: [reference], deletedLayers: [] };
  }
  const user = containers.rows().find((container) => text(container.raw, 'image') === row.id);
  if (user !== undefined) {
    const who = texts(user.raw, 'names')[0] ?? user.id.slice(0, 12);
    throw new TareError(
      'failed-precondition',
      `Cannot remove image ${reference}: container ${who} uses it; remove the container first`,
    );
  }
  if (names.length > 1 && options.force !== true) {
    throw new TareError(
      'failed-precondition',
      `Cannot remove image ${reference}: it has ${names.length} names; remove them one by one, or use force`,
    );
  }
  const top = [text(row.raw, 'layer'), ...texts(row.raw, 'mapped-layers')].filter((id) => id !== undefined);
  const rest = images.rows().filter((other) => other.id !== row.id);
  const doomed = unneededLayers(top, layers.rows(), rest, containers.rows());
  noteIntent(temp, { layers: doomed.map(({ id }) => id), image: row.id });
  images.drop([row]);
  temp.takeMeta(imageDir(parts, row.id));
  deleteLayers(parts, layers, doomed, temp);
  return { untagged: names, deleted: row.id, deletedLayers: doomed.map(({ id }) => id) };
}

/** Gives an image another name, which moves from the image that had it. Errors: `not-found`. */
export async function tagImage(parts: StoreParts, reference: string, name: string): Promise<ImageRecord> {
  using images = await parts.images.lock();
  const row = requireImage(images.rows(), reference);
  const raw = { ...row.raw };
  addNames(raw, [name]);
  const next: Row = { ...row, raw };
  images.put([...withoutNames(images.rows(), row.id, [name]), next]);
  return imageOf(next);
}

/** Takes a name from an image, which stays. Errors: `not-found` when no image has it. */
export async function untagImage(parts: StoreParts, name: string): Promise<ImageRecord> {
  using images = await parts.images.lock();
  const row = images.rows().find((candidate) => texts(candidate.raw, 'names').includes(name));
  if (row === undefined) throw new TareError('not-found', `Cannot untag ${name}: no image has that name`);
  const next: Row = { ...row, raw: { ...row.raw, names: texts(row.raw, 'names').filter((other) => other !== name) } };
  images.put([next]);
  return imageOf(next);
}
