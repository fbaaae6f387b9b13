import { machine } from 'node:os';
import { TareError, isKind } from '../base/errors.ts';
import type { PullEvent } from '../image/mod.ts';
import { parseImageConfig, type ImageConfig } from '../spec/image-config.ts';
import { hostPlatform, parsePlatform } from '../spec/platform.ts';
import { familiarReference, formatReference, parseReference, withDefaultTag } from '../spec/reference.ts';
import type { ImageRecord, Store } from '../storage/mod.ts';
import type { CreateOptions } from './create-options.ts';
import type { Engine } from './engine.ts';

export interface PullImageOptions {
  /** os/arch[/variant]; default the machine's. */
  readonly platform?: string;
  readonly onProgress?: (event: PullEvent) => void;
  readonly signal?: AbortSignal;
  /** Where relative layout paths start. */
  readonly cwd?: string;
  /** PEM certificates to trust for registries besides the system's. */
  readonly ca?: readonly string[];
}

export interface PulledImage {
  readonly imageId: string;
  /** Digest of the manifest. */
  readonly digest: string;
  readonly names: readonly string[];
}

/** One line of `images`. */
export interface ImageSummary {
  readonly id: string;
  readonly names: readonly string[];
  readonly digest: string;
  readonly createdAt: string;
  /** Uncompressed size of all layers. */
  readonly sizeBytes: number;
}

/**
 * Pulls an image from `docker://`, `oci:` or `oci-archive:` (a plain reference means docker://) into the store.
 *
 * Errors: not-found, denied, unavailable, invalid (bad reference or content), cancelled, exhausted.
 */
export async function pullImage(engine: Engine, reference: string, options: PullImageOptions = {}): Promise<PulledImage> {
  const { openImageSource, parseImageLocation, pullImage: pull } = await import('../image/mod.ts');
  const store = await engine.store();
  await using source = await openImageSource(parseImageLocation(reference), {
    cwd: options.cwd ?? '/',
    ...(options.ca === undefined ? {} : { registry: { ca: options.ca } }),
  });
  const pulled = await pull(source, store, {
    platform: options.platform === undefined ? hostPlatform(machine()) : parsePlatform(options.platform),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.onProgress === undefined ? {} : { progress: options.onProgress }),
  });
  return { imageId: pulled.record.id, digest: pulled.manifestDigest, names: pulled.names };
}

/**
 * Finds an image in the store by id, unique id prefix, or name; a short name also means one built here (localhost/NAME). Undefined when there is none.
 */
export function findImage(store: Store, text: string): ImageRecord | undefined {
  const candidates = [text];
  try {
    const parsed = withDefaultTag(parseReference(text));
    const full = formatReference(parsed);
    candidates.unshift(full);
    if (!text.includes('/')) candidates.push(`localhost/${familiarReference(parsed)}`);
  } catch (error) {
    if (!isKind(error, 'invalid')) throw error;
  }
  for (const candidate of candidates) {
    const found = store.image(candidate);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The image of a `run`, pulled where the policy asks for it. Errors: not-found with `--pull never`; those of `pullImage`. */
export async function imageForRun(
  engine: Engine,
  reference: string,
  options: Pick<CreateOptions, 'pull' | 'platform' | 'cwd'>,
): Promise<{ reference: string; imageId: string; config: ImageConfig }> {
  const store = await engine.store();
  const policy = options.pull ?? 'missing';
  let image = policy === 'always' || policy === 'newer' ? undefined : findImage(store, reference);
  if (image === undefined) {
    if (policy === 'never') throw new TareError('not-found', `Cannot find image ${reference}: it is not in the store, and --pull never forbids to fetch it`);
    const { imageId } = await pullImage(engine, reference, {
      ...(options.platform === undefined ? {} : { platform: options.platform }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    image = store.image(imageId);
    if (image === undefined) throw new TareError('unavailable', `Cannot use image ${reference}: it was removed right after the pull`);
  }
  return { reference: image.names[0] ?? reference, imageId: image.id, config: parseImageConfig(store.readConfig(image)) };
}

/** All images, newest first. */
export async function listImages(engine: Engine): Promise<ImageSummary[]> {
  const store = await engine.store();
  return store
    .images()
    .map((image) => ({
      id: image.id,
      names: image.names,
      digest: image.digest ?? '',
      createdAt: image.created,
      sizeBytes: store.imageLayers(image).reduce((sum, layer) => sum + (layer.sizeBytes ?? 0), 0),
    }))
    .sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
}

/**
 * Removes a name of an image, or with its last name (or by id) the image and every layer nothing else needs.
 * Returns what was done in words: "untagged" and "deleted".
 *
 * Errors: not-found; failed-precondition while containers use it.
 */
export async function removeImage(engine: Engine, nameOrId: string, options: { readonly force?: boolean } = {}): Promise<{ untagged: string[]; deleted: string[] }> {
  const store = await engine.store();
  const image = findImage(store, nameOrId);
  if (image === undefined) throw new TareError('not-found', `Cannot remove image ${nameOrId}: no such image`);
  const byId = image.id.startsWith(nameOrId);
  if (byId && image.names.length > 1 && options.force !== true) {
    throw new TareError('failed-precondition', `Cannot remove image ${nameOrId}: it has ${image.names.length} names; remove them one by one or use --force`);
  }
  if (!byId && image.names.length > 1) {
    const name = image.names.find((candidate) => candidate === nameOrId || familiar(candidate) === nameOrId || familiar(candidate) === `${nameOrId}:latest`) ?? image.names[0];
    if (name !== undefined) {
      await store.untag(name);
      return { untagged: [name], deleted: [] };
    }
  }
  await store.removeImage(image.id);
  return { untagged: [...image.names], deleted: [image.id] };
}

function familiar(name: string): string {
  try {
    return familiarReference(parseReference(name));
  } catch {
    return name;
  }
}
