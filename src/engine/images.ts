import { definedOf } from '../base/defined.ts';
import { TareError, isKind } from '../base/errors.ts';
import type { PullEvent } from '../image/mod.ts';
import { parseImageConfig, type ImageConfig } from '../spec/image-config.ts';
import { choosePlatform, hostPlatform, parsePlatform, type Platform } from '../spec/platform.ts';
import type { Store } from '../storage/mod.ts';
import type { CreateOptions } from './create-options.ts';
import { emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { findNamed, storedImage, type Found } from './find-image.ts';
import { placesOf, type ImagePlaceOptions } from './image-places.ts';
import { keepingBlobs, pruneBlobs } from './kept-blobs.ts';

export interface PullImageOptions extends ImagePlaceOptions {
  /** os/arch[/variant]; default the machine's. */
  readonly platform?: string;
  readonly onProgress?: (event: PullEvent) => void;
  readonly signal?: AbortSignal;
}

export interface PulledImage {
  readonly imageId: string;
  /** Digest of the manifest. */
  readonly digest: string;
  readonly names: readonly string[];
}

/**
 * Pulls an image from any transport (`docker://`, `oci:`, `oci-archive:`, `docker-archive:`, `dir:`; a plain reference means docker://) into the store.
 *
 * Errors: not-found, denied, unavailable, invalid (bad reference or content), cancelled, exhausted.
 */
export async function pullImage(
  engine: Engine,
  reference: string,
  options: PullImageOptions = {},
): Promise<PulledImage> {
  const { openImageSource, parseImageLocation, pullImage: pull } = await import('../image/mod.ts');
  const store = await engine.store();
  await using source = await openImageSource(parseImageLocation(reference), await placesOf(engine, options));
  const pulled = await keepingBlobs(engine, (keep) =>
    pull(source, store, {
      platform: wantedPlatform(options.platform),
      ...definedOf({ signal: options.signal, progress: options.onProgress }),
      ...keep,
    }),
  );
  emit(engine, { type: 'image', action: 'pull', id: pulled.record.id, name: pulled.names[0] ?? reference });
  return { imageId: pulled.record.id, digest: pulled.manifestDigest, names: pulled.names };
}

/** The platform that is asked for, or this machine's. */
export function wantedPlatform(platform: string | undefined): Platform {
  return platform === undefined ? hostPlatform(process.arch) : parsePlatform(platform);
}

/** The image of a `run`. */
export interface ImageForRun {
  /** Its full name where it has one. */
  readonly reference: string;
  readonly imageId: string;
  readonly config: ImageConfig;
}

/**
 * The image of a `run`, pulled where the policy asks for it: `missing` when the store has none of that name (and platform), `always`, `never`, and `newer`
 * when the registry's manifest has another digest than the stored one; `newer` makes do with the stored image when the registry cannot be asked.
 * An image from a file or directory (`oci:`, `docker-archive:` …) is read each time, layers that are in the store are not.
 *
 * Errors: not-found with `never`; those of `pullImage`.
 */
export async function imageForRun(
  engine: Engine,
  reference: string,
  options: Pick<CreateOptions, 'pull' | 'platform' | 'cwd' | 'registry'>,
  how: Pick<PullImageOptions, 'onProgress' | 'signal'> = {},
): Promise<ImageForRun> {
  const store = await engine.openStore();
  const policy = options.pull ?? 'missing';
  const isFile = /^(?:oci|oci-archive|docker-archive|dir):/.test(reference);
  const stored = isFile || policy === 'always' ? undefined : storedForRun(store, reference, options.platform);
  if (stored !== undefined && policy !== 'newer') return stored;
  if (policy === 'never' && !isFile)
    throw new TareError(
      'not-found',
      `Cannot find image ${reference}: it is not in the store, and --pull never forbids to fetch it`,
    );
  const pullOptions = definedOf({
    platform: options.platform,
    cwd: options.cwd,
    onProgress: how.onProgress,
    signal: how.signal,
    ...options.registry,
  });
  try {
    if (stored !== undefined && (await isCurrent(engine, store, stored.imageId, reference, pullOptions))) return stored;
    const { imageId, names } = await pullImage(engine, reference, pullOptions);
    const image = store.image(imageId);
    if (image === undefined)
      throw new TareError('unavailable', `Cannot use image ${reference}: it was removed right after the pull`);
    return forRun(store, { image, ...(names[0] === undefined ? {} : { name: names[0] }) }, reference);
  } catch (error) {
    if (stored !== undefined && (isKind(error, 'unavailable') || isKind(error, 'not-found') || isKind(error, 'denied')))
      return stored;
    throw error;
  }
}

function storedForRun(store: Store, reference: string, platform: string | undefined): ImageForRun | undefined {
  const found = findNamed(store, reference);
  if (found === undefined) return undefined;
  const stored = forRun(store, found, reference);
  const fits =
    platform === undefined ||
    choosePlatform([{ platform: stored.config.platform }], parsePlatform(platform)) !== undefined;
  return fits ? stored : undefined;
}

function forRun(store: Store, { image, name }: Found, reference: string): ImageForRun {
  return {
    reference: name ?? image.names[0] ?? reference,
    imageId: image.id,
    config: parseImageConfig(store.readConfig(image)),
  };
}

/** Whether the registry still has what we have. */
async function isCurrent(
  engine: Engine,
  store: Store,
  imageId: string,
  reference: string,
  options: PullImageOptions,
): Promise<boolean> {
  const { openImageSource, parseImageLocation, resolveImage } = await import('../image/mod.ts');
  await using source = await openImageSource(parseImageLocation(reference), await placesOf(engine, options));
  const { instance } = await resolveImage(source, wantedPlatform(options.platform), options.signal);
  return store.image(imageId)?.digests.includes(instance.digest) === true;
}

/**
 * Removes a name of an image, or with its last name (or by id) the image and every layer nothing else needs. `force`: by id, all its names at once.
 * Returns what was done: names that were untagged, ids that were deleted.
 *
 * Errors: not-found; failed-precondition while containers use it, or by id for several names without `force`.
 */
export async function removeImage(
  engine: Engine,
  nameOrId: string,
  options: { readonly force?: boolean } = {},
): Promise<{ untagged: string[]; deleted: string[] }> {
  const { store, name, image } = await storedImage(engine, nameOrId, 'remove');
  const { untagged, deleted } = await store.removeImage(name ?? image.id, options);
  for (const gone of untagged) emit(engine, { type: 'image', action: 'untag', id: image.id, name: gone });
  if (deleted !== undefined) {
    emit(engine, { type: 'image', action: 'remove', id: image.id, name: untagged[0] ?? image.id });
    await pruneBlobs(engine, store);
  }
  return { untagged: [...untagged], deleted: deleted === undefined ? [] : [deleted] };
}
