import { machine } from 'node:os';
import { TareError, isKind } from '../base/errors.ts';
import type { OpenSourceOptions, PullEvent } from '../image/mod.ts';
import { parseImageConfig, type ImageConfig } from '../spec/image-config.ts';
import { choosePlatform, hostPlatform, parsePlatform, type Platform } from '../spec/platform.ts';
import { familiarReference, formatReference, parseReference, withDefaultTag } from '../spec/reference.ts';
import type { ImageRecord, Store } from '../storage/mod.ts';
import type { CreateOptions } from './create-options.ts';
import type { Engine } from './engine.ts';
import type { RegistryAccess } from './registries.ts';

export interface PullImageOptions {
  /** os/arch[/variant]; default the machine's. */
  readonly platform?: string;
  readonly onProgress?: (event: PullEvent) => void;
  readonly signal?: AbortSignal;
  /** Where relative layout paths start. */
  readonly cwd?: string;
  /** PEM certificates to trust for registries besides the system's. */
  readonly ca?: readonly string[];
  /** How registries are reached, instead of the engine's way. */
  readonly registryAccess?: RegistryAccess;
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
export async function pullImage(
  engine: Engine,
  reference: string,
  options: PullImageOptions = {},
): Promise<PulledImage> {
  const { openImageSource, parseImageLocation, pullImage: pull } = await import('../image/mod.ts');
  const store = await engine.store();
  await using source = await openImageSource(parseImageLocation(reference), await sourceOptions(engine, options));
  const pulled = await pull(source, store, {
    platform: platformOf(options),
    ...definedOf({ signal: options.signal, progress: options.onProgress }),
  });
  return { imageId: pulled.record.id, digest: pulled.manifestDigest, names: pulled.names };
}

async function sourceOptions(engine: Engine, options: PullImageOptions): Promise<OpenSourceOptions> {
  const { cwd = '/', ca } = options;
  const access = options.registryAccess ?? engine.registryAccess;
  if (access === undefined) return { cwd, ...(ca !== undefined && { registry: { ca } }) };
  const { registriesFor } = await import('./registries.ts');
  return { cwd, registry: registriesFor({ ...access, ...(ca !== undefined && { ca }) }) };
}

function platformOf(options: PullImageOptions): Platform {
  return options.platform === undefined ? hostPlatform(machine()) : parsePlatform(options.platform);
}

/** The same without what is undefined: "not given" is absence. */
function definedOf<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** An image of the store, and the name of it that was meant; no name when it was found by id. */
interface Found {
  readonly image: ImageRecord;
  readonly name?: string;
}

/**
 * Finds an image in the store by name, id or unique id prefix; a short name also means one built here (localhost/NAME), and `docker://` may stand before a
 * name. Undefined when there is none. Errors: invalid when an id prefix fits several images.
 */
export function findImage(store: Store, text: string): ImageRecord | undefined {
  return findNamed(store, text)?.image;
}

function findNamed(store: Store, text: string): Found | undefined {
  const name = text.startsWith('docker://') ? text.slice('docker://'.length) : text;
  for (const candidate of namesOf(name)) {
    const image = store.image(candidate);
    if (image !== undefined) return { image, name: candidate };
  }
  const image = store.image(name);
  if (image === undefined) return undefined;
  return image.names.includes(name) ? { image, name } : { image };
}

/** What a reference may be called in the store. */
function namesOf(text: string): string[] {
  try {
    const parsed = withDefaultTag(parseReference(text));
    const short = text.split('/', 1)[0] === text;
    return [formatReference(parsed), ...(short ? [`localhost/${familiarReference(parsed)}`] : [])];
  } catch (error) {
    if (isKind(error, 'invalid')) return [];
    throw error;
  }
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
 * An image from `oci:` or `oci-archive:` is read each time, layers that are in the store are not.
 *
 * Errors: not-found with `never`; those of `pullImage`.
 */
export async function imageForRun(
  engine: Engine,
  reference: string,
  options: Pick<CreateOptions, 'pull' | 'platform' | 'cwd'>,
  how: Pick<PullImageOptions, 'onProgress' | 'signal'> = {},
): Promise<ImageForRun> {
  const store = await engine.store();
  const policy = options.pull ?? 'missing';
  const isFile = /^oci(-archive)?:/.test(reference);
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
  });
  try {
    if (stored !== undefined && (await isCurrent(engine, stored.imageId, reference, pullOptions))) return stored;
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
  imageId: string,
  reference: string,
  options: PullImageOptions,
): Promise<boolean> {
  const { openImageSource, parseImageLocation, resolveImage } = await import('../image/mod.ts');
  await using source = await openImageSource(parseImageLocation(reference), await sourceOptions(engine, options));
  const { instance } = await resolveImage(source, platformOf(options), options.signal);
  return (await engine.store()).image(imageId)?.digests.includes(instance.digest) === true;
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
  const store = await engine.store();
  const found = findNamed(store, nameOrId);
  if (found === undefined) throw new TareError('not-found', `Cannot remove image ${nameOrId}: no such image`);
  const { untagged, deleted } = await store.removeImage(found.name ?? found.image.id, options);
  return { untagged: [...untagged], deleted: deleted === undefined ? [] : [deleted] };
}
