import { mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isKind, TareError } from '../base/errors.ts';
import { ifPresent } from '../base/if-present.ts';
import type { Digest, DiffId } from '../spec/digest.ts';
import { createFile, replaceFile, storageError } from './_file.ts';
import { imageDir, removeLayerFiles, type StoreParts, tarSplitPath } from './_parts.ts';
import { bigDataFile } from './big-data.ts';
import { StagedLayer } from './layer-writer.ts';
import { MAX_LAYERS } from './overlay.ts';
import { type ImageRecord, imageOf, isIncomplete, object, type RawRecord, type Row, texts } from './record.ts';
import { dropIncompleteLayers, noteIntent, recover } from './recover.ts';
import type { LockedTable } from './table.ts';
import { TempDir } from './temp-dir.ts';

/** An image to add. */
export interface ImageCommit {
  /** Bottom first: staged here, or known to be in the store (`hasLayer`). */
  readonly layers: readonly (StagedLayer | { readonly diffId: DiffId })[];
  /** Exactly the bytes that were verified. The image's id is the config's hash. */
  readonly config: Uint8Array;
  readonly manifest: Uint8Array;
  /** The index through which the manifest was chosen. */
  readonly indexManifest?: Uint8Array;
  /** Fully qualified. Another image that has one of them loses it. */
  readonly names: readonly string[];
}

type Sha256 = (data: Uint8Array | string) => string;

async function loadSha256(): Promise<Sha256> {
  const { hash } = await import('node:crypto');
  return (data) => hash('sha256', data);
}

/** Ids of a chain of layers as containers/storage makes them: the diffId alone, then the hash of parent and diffId. Not the OCI chainId. */
export async function layerIds(diffIds: readonly DiffId[]): Promise<string[]> {
  const sha256 = await loadSha256();
  return chainIds(diffIds, sha256);
}

function chainIds(diffIds: readonly DiffId[], sha256: Sha256): string[] {
  const ids: string[] = [];
  for (const diffId of diffIds) {
    if (!/^sha256:[0-9a-f]{64}$/.test(diffId))
      throw new TareError('unsupported', `Cannot store layer ${diffId}: containers/storage knows sha256 only`);
    const hex = diffId.slice(7);
    const parent = ids.at(-1);
    ids.push(parent === undefined ? hex : sha256(`${parent}+${hex}`));
  }
  return ids;
}

/**
 * Adds an image with its layers in one locked step, or gives an existing one its new names. Nobody sees half of it; a kill at any point leaves what the next
 * opener deletes. Staged layers are consumed, also by a failure.
 *
 * Errors: `invalid` when the config does not name exactly these layers; `failed-precondition` when a layer that was to be here is gone; `exhausted` for a
 * full disk, with nothing left behind.
 */
export async function commitImage(parts: StoreParts, commit: ImageCommit, signal?: AbortSignal): Promise<ImageRecord> {
  try {
    return await commitStaged(parts, commit, signal);
  } catch (error) {
    // On a full disk there may have been no room even to take the records back; now the layers are deleted, and there is.
    if (isKind(error, 'exhausted')) await recover(parts).catch(() => {});
    throw error;
  }
}

async function commitStaged(parts: StoreParts, commit: ImageCommit, signal?: AbortSignal): Promise<ImageRecord> {
  await using staged = new AsyncDisposableStack();
  for (const layer of commit.layers) if (layer instanceof StagedLayer) staged.use(layer);
  const sha256 = await loadSha256();
  const diffIds = commit.layers.map((layer) => layer.diffId);
  const config = checkConfig(commit.config, diffIds);
  const ids = chainIds(diffIds, sha256);
  const data = bigData(commit, sha256);
  try {
    await using temp = TempDir.create(parts.dirs);
    const imageTemp = join(temp.meta().path, 'image');
    mkdirSync(imageTemp, { mode: 0o700 });
    for (const [key, bytes] of data) createFile(join(imageTemp, bigDataFile(key)), bytes, { sync: true });
    noteIntent(temp, { layers: ids, image: sha256(commit.config) });
    using layers = await parts.layers.lock(signal);
    await dropIncompleteLayers(parts, layers, layers.rows(), temp);
    using images = await parts.images.lock(signal);
    placeLayers(parts, layers, commit, ids, temp);
    return placeImage(
      parts,
      images,
      commit,
      { id: sha256(commit.config), layer: ids.at(-1), created: config.created, data, sha256 },
      temp,
    );
  } catch (error) {
    throw storageError(`store image ${commit.names[0] ?? sha256(commit.config).slice(0, 12)}`, error);
  }
}

function checkConfig(bytes: Uint8Array, diffIds: readonly DiffId[]): { created: string | undefined } {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  } catch (cause) {
    throw new TareError('invalid', 'Cannot store image: its config is no JSON', { cause });
  }
  const config = (typeof json === 'object' && json !== null ? json : {}) as RawRecord;
  const wanted = texts(object(config, 'rootfs'), 'diff_ids');
  if (wanted.length !== diffIds.length || wanted.some((diffId, i) => diffId !== diffIds[i])) {
    throw new TareError('invalid', 'Cannot store image: its layers are not the ones its config names');
  }
  if (diffIds.length > MAX_LAYERS)
    throw new TareError('unsupported', `Cannot store image: ${diffIds.length} layers, at most ${MAX_LAYERS}`);
  const created = config['created'];
  return { created: typeof created === 'string' && !Number.isNaN(Date.parse(created)) ? created : undefined };
}

/** Key and contents of what the image keeps besides layers. */
function bigData(commit: ImageCommit, sha256: Sha256): Map<string, Uint8Array> {
  const digest = (bytes: Uint8Array): string => `sha256:${sha256(bytes)}`;
  const data = new Map<string, Uint8Array>([[digest(commit.config), commit.config]]);
  if (commit.indexManifest !== undefined) data.set(`manifest-${digest(commit.indexManifest)}`, commit.indexManifest);
  data.set(`manifest-${digest(commit.manifest)}`, commit.manifest);
  data.set('manifest', commit.manifest);
  return data;
}

function placeLayers(
  parts: StoreParts,
  layers: LockedTable,
  commit: ImageCommit,
  ids: readonly string[],
  temp: TempDir,
): void {
  const present = new Set(layers.rows().map((row) => row.id));
  const fresh: { row: Row; layer: StagedLayer; parent: string | undefined }[] = [];
  commit.layers.forEach((layer, i) => {
    const id = ids[i] as string; // one per layer
    const parent = i === 0 ? undefined : ids[i - 1];
    if (present.has(id)) return;
    if (!(layer instanceof StagedLayer))
      throw new TareError(
        'failed-precondition',
        `Cannot store image: layer ${layer.diffId} was removed meanwhile; try again`,
      );
    // The same diff twice in a row of layers is staged once by a careful caller; each place needs its own copy.
    if (fresh.some((other) => other.layer === layer))
      throw new TareError('invalid', 'Cannot store image: one staged layer is used twice');
    fresh.push({ row: { id, raw: layerRecord(id, parent, layer, parts.now()), volatile: false }, layer, parent });
  });
  if (fresh.length === 0) return;
  const incomplete = fresh.map(({ row }) => ({ ...row, raw: { ...row.raw, flags: { incomplete: true } } }));
  try {
    layers.put(incomplete);
    for (const { row, layer, parent } of fresh) {
      temp.take(parts.dirs.at(row.id));
      const link = parts.dirs.prepare(layer.dir, parent, !layer.hasRoot);
      renameSync(layer.dir, parts.dirs.at(row.id));
      renameSync(layer.tarSplit, tarSplitPath(parts, row.id));
      parts.dirs.publishLink(row.id, link);
    }
    layers.put(fresh.map(({ row }) => row));
  } catch (error) {
    for (const { row } of fresh) removeLayerFiles(parts, row.id, temp);
    try {
      layers.drop(incomplete);
    } catch {
      // Still no room to write: they stay marked incomplete, and the next writer deletes them.
    }
    throw error;
  }
}

function layerRecord(id: string, parent: string | undefined, layer: StagedLayer, now: Date): RawRecord {
  const { blob } = layer;
  return {
    id,
    ...(parent === undefined ? {} : { parent }),
    created: now.toISOString(),
    'compressed-diff-digest': blob.digest ?? layer.diffId,
    'compressed-size': blob.digest === undefined ? layer.sizeBytes : (blob.sizeBytes ?? 0),
    'diff-digest': layer.diffId,
    'diff-size': layer.sizeBytes,
    ...(blob.compression === 0 ? {} : { compression: blob.compression }),
    uidset: layer.uids,
    gidset: layer.gids,
  };
}

interface NewImage {
  readonly id: string;
  readonly layer: string | undefined;
  readonly created: string | undefined;
  readonly data: ReadonlyMap<string, Uint8Array>;
  readonly sha256: Sha256;
}

function placeImage(
  parts: StoreParts,
  images: LockedTable,
  commit: ImageCommit,
  image: NewImage,
  temp: TempDir,
): ImageRecord {
  const dir = imageDir(parts, image.id);
  const old = images.find(image.id);
  const digest = `sha256:${image.sha256(commit.manifest)}` as Digest;
  const raw: RawRecord = {
    ...(old?.raw ?? { id: image.id, created: image.created ?? parts.now().toISOString() }),
    digest,
  };
  if (image.layer !== undefined && raw['layer'] === undefined) raw['layer'] = image.layer;
  raw['metadata'] = withSignatureSizes(raw['metadata'], digest);
  const names = new Set(texts(raw, 'big-data-names'));
  const sizes = { ...object(raw, 'big-data-sizes') };
  const digests = { ...object(raw, 'big-data-digests') };
  for (const [key, bytes] of image.data) {
    names.add(key);
    sizes[key] = bytes.length;
    digests[key] = `sha256:${image.sha256(bytes)}`;
  }
  Object.assign(raw, { 'big-data-names': [...names], 'big-data-sizes': sizes, 'big-data-digests': digests });
  addNames(raw, commit.names);
  if (old === undefined) {
    temp.takeMeta(dir);
    renameSync(join(temp.meta().path, 'image'), dir);
  } else {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    for (const [key, bytes] of image.data) {
      const path = join(dir, bigDataFile(key));
      if (!holds(path, bytes)) replaceFile(path, bytes, 'data');
    }
  }
  const row: Row = { id: image.id, raw, volatile: false };
  try {
    images.put([...withoutNames(images.rows(), image.id, commit.names), row]);
  } catch (error) {
    if (old === undefined) temp.takeMeta(dir);
    throw error;
  }
  return imageOf(row);
}

function holds(path: string, bytes: Uint8Array): boolean {
  return ifPresent(() => statSync(path).size === bytes.length && readFileSync(path).equals(bytes)) === true;
}

/** The metadata that containers/image keeps: no signatures are stored with this manifest. */
function withSignatureSizes(metadata: unknown, digest: Digest): string {
  let json: RawRecord = {};
  try {
    json = JSON.parse(typeof metadata === 'string' && metadata !== '' ? metadata : '{}') as RawRecord;
  } catch {
    // Somebody else's metadata in another form: ours says enough.
  }
  const sizes = object(json, 'signatures-sizes');
  return JSON.stringify({ ...json, 'signatures-sizes': { ...sizes, [digest]: sizes[digest] ?? [] } });
}

/** Adds names to an image record; the history only grows, newest first. */
export function addNames(raw: RawRecord, names: readonly string[]): void {
  raw['names'] = [...new Set([...texts(raw, 'names'), ...names])];
  raw['names-history'] = [...new Set([...[...names].reverse(), ...texts(raw, 'names-history')])];
}

/** The images other than `id` that lose a name because it moves. */
export function withoutNames(rows: readonly Row[], id: string, names: readonly string[]): Row[] {
  const moving = new Set(names);
  return rows
    .filter((row) => row.id !== id && texts(row.raw, 'names').some((name) => moving.has(name)))
    .map((row) => ({
      ...row,
      raw: { ...row.raw, names: texts(row.raw, 'names').filter((name) => !moving.has(name)) },
    }));
}

/** True when the whole chain is in the store, complete. */
export function hasChain(parts: StoreParts, ids: readonly string[]): boolean {
  const complete = new Set(
    parts.layers
      .rows()
      .filter((row) => !isIncomplete(row))
      .map((row) => row.id),
  );
  return ids.every((id) => complete.has(id) && parts.dirs.exists(id));
}
