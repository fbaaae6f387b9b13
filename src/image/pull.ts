import { TareError, isKind } from '../base/errors.ts';
import {
  IMAGE_CONFIG_MAX_BYTES,
  choosePlatform,
  formatPlatform,
  isImageConfigType,
  isLayerType,
  mediaTypes,
  parseImageConfig,
  type Descriptor,
  type DiffId,
  type Digest,
  type ImageConfig,
  type ImageManifest,
  type Platform,
} from '../spec/mod.ts';
import { inParallel } from './_in-parallel.ts';
import type { BlobDirectory, BlobKeeper } from './blob-directory.ts';
import { openLayerTar, type Compression } from './layer-tar.ts';
import type { ImageSource, SourceManifest } from './source.ts';
import type { ImageStore, StagedLayer } from './store.ts';

/** What happens during a pull, in order of happening; layers mix. Drawn by doors. */
export type PullEvent =
  /** The image is known. */
  | { readonly phase: 'resolved'; readonly manifest: Digest; readonly layers: readonly Descriptor[] }
  /** A layer that the store has already. */
  | { readonly phase: 'present'; readonly layer: Digest; readonly index: number }
  /** `bytes` of the layer's `total` compressed bytes have been read, checked and unpacked. */
  | {
      readonly phase: 'layer';
      readonly layer: Digest;
      readonly index: number;
      readonly bytes: number;
      readonly total: number;
    }
  | { readonly phase: 'layer-done'; readonly layer: Digest; readonly index: number }
  /** Everything is in staging. */
  | { readonly phase: 'commit' };

export interface PullOptions {
  /** What to choose from an index. */
  readonly platform: Platform;
  readonly signal?: AbortSignal;
  readonly progress?: (event: PullEvent) => void;
  /** Full references for the image; `source.storedName` unless stated. */
  readonly names?: readonly string[];
  /** The most bytes that all layers together may unpack to: 64 GiB unless stated. */
  readonly maxUnpackedBytes?: number;
  /** Layers at a time: 3 unless stated. */
  readonly parallel?: number;
  /** Keeps the blobs of layers as they pass. */
  readonly keep?: Pick<BlobDirectory, 'keep'>;
}

/** A pulled image. */
export interface Pulled<Stored> {
  readonly record: Stored;
  readonly manifestDigest: Digest;
  readonly configDigest: Digest;
  readonly config: ImageConfig;
  readonly names: readonly string[];
}

const MAX_UNPACKED_BYTES = 64 * 2 ** 30;
/** An index may lead to another; deeper nests are nobody's. */
export const MAX_INDEX_DEPTH = 3;

/**
 * Brings an image into a store. Each blob is read once: bytes, digest, decompression, staging; layers side by side; then one commit. A layer the store has is not
 * fetched. Whatever fails or is cancelled, nothing of the image is visible and staging is given up.
 *
 * Errors: `invalid` for an image that is not what its digests say, or is damaged; `not-found` when the index has nothing for the platform; `unsupported` for what is no
 * container image; `exhausted` past `maxUnpackedBytes`; those of source and store.
 */
export async function pullImage<Staged extends StagedLayer, Stored>(
  source: ImageSource,
  store: ImageStore<Staged, Stored>,
  options: PullOptions,
): Promise<Pulled<Stored>> {
  const { signal, progress } = options;
  const reading = signal === undefined ? {} : { signal };
  const { instance, index, manifest } = await resolveImage(source, options.platform, signal);
  if (!isImageConfigType(manifest.config.mediaType)) {
    const type = JSON.stringify(manifest.artifactType ?? manifest.config.mediaType);
    throw new TareError('unsupported', `Cannot pull ${source.name}: it is not a container image but ${type}`);
  }
  const configBytes = await source.smallBlob(manifest.config, IMAGE_CONFIG_MAX_BYTES, reading);
  const config = parseImageConfig(configBytes, `config of ${source.name}`);
  checkLayers(source, manifest, config);
  const { diffIds } = config;
  progress?.({ phase: 'resolved', manifest: instance.digest, layers: manifest.layers });

  const names = options.names ?? (source.storedName === undefined ? [] : [source.storedName]);
  const pulled = { manifestDigest: instance.digest, configDigest: manifest.config.digest, config, names };
  const rest = { config: configBytes, manifest: instance.bytes, ...(index && { indexManifest: index.bytes }), names };
  for (let attempt = 1; ; attempt++) {
    await using staged = new AsyncDisposableStack();
    // The second time nothing is counted on: then nobody can take anything away.
    const present = attempt > 1 ? 0 : await countPresent(store, diffIds);
    const known = diffIds.slice(0, present).map((diffId) => ({ diffId }));
    const fresh = await stageLayers(source, store, manifest.layers, diffIds, present, options, staged);
    progress?.({ phase: 'commit' });
    staged.move(); // The commit owns them from here.
    try {
      return { ...pulled, record: await store.commitImage({ ...rest, layers: [...known, ...fresh] }, reading) };
    } catch (error) {
      // Somebody removed a layer that we counted on: all are fetched now.
      if (attempt > 1 || present === 0 || !isKind(error, 'failed-precondition')) throw error;
    }
  }
}

/** Brings the layers that the store does not have into staging, several at a time. `keep` owns them, whatever happens. */
async function stageLayers<Staged extends StagedLayer>(
  source: ImageSource,
  store: Pick<ImageStore<Staged, unknown>, 'stageLayer'>,
  layers: readonly Descriptor[],
  diffIds: readonly DiffId[],
  present: number,
  options: PullOptions,
  keep: AsyncDisposableStack,
): Promise<Staged[]> {
  const { signal, progress, maxUnpackedBytes = MAX_UNPACKED_BYTES } = options;
  for (const [index, { digest }] of layers.slice(0, present).entries())
    progress?.({ phase: 'present', layer: digest, index });
  let unpackedBytes = 0;
  return inParallel(layers.slice(present), options.parallel ?? 3, signal, async (descriptor, position, stop) => {
    const { digest, size } = descriptor;
    const index = present + position;
    const what = `layer ${digest} of ${source.name}`;
    let bytes = 0;
    // A plain tar can be had again from the layer itself.
    using keeper = digest === (diffIds[index] as string) ? undefined : options.keep?.keep(digest);
    const body = tapped(source.blob(descriptor, { signal: stop }), keeper, (length) => {
      bytes += length;
      progress?.({ phase: 'layer', layer: digest, index, bytes, total: size });
    });
    await using layer = await openLayerTar(body, what);
    const mediaType = layerTypeAs(descriptor.mediaType, layer.compression);
    await using writer = await store.stageLayer({ compressedDigest: digest, compressedSizeBytes: size, mediaType });
    for await (const tar of layer.tar) {
      unpackedBytes += tar.byteLength;
      if (unpackedBytes > maxUnpackedBytes)
        throw new TareError(
          'exhausted',
          `Cannot pull ${source.name}: it unpacks to more than ${maxUnpackedBytes} bytes`,
        );
      await writer.write(tar);
    }
    const staged = keep.use(await writer.finish());
    if (staged.diffId !== diffIds[index]) {
      throw new TareError(
        'invalid',
        `Cannot use ${what}: it unpacks to ${staged.diffId}, the image's config says ${diffIds[index] ?? 'nothing'}`,
      );
    }
    keeper?.commit();
    progress?.({ phase: 'layer-done', layer: digest, index });
    return staged;
  });
}

/** The media type that fits how the layer is really compressed; the manifest's own when that is right. */
function layerTypeAs(mediaType: string, compression: Compression): string {
  const right = compression === 'none' ? /tar$/ : compression === 'gzip' ? /gzip$/ : /zstd$/;
  if (right.test(mediaType)) return mediaType;
  return compression === 'none'
    ? mediaTypes.ociLayer
    : compression === 'gzip'
      ? mediaTypes.ociLayerGzip
      : mediaTypes.ociLayerZstd;
}

interface Resolved {
  readonly instance: SourceManifest;
  readonly manifest: ImageManifest;
  /** The outermost index, when there is one. */
  readonly index: SourceManifest | undefined;
}

/** From a source's name to the manifest of one image, by way of indexes. Errors: as `pullImage`. */
export async function resolveImage(source: ImageSource, platform: Platform, signal?: AbortSignal): Promise<Resolved> {
  const reading = signal === undefined ? {} : { signal };
  let instance = await source.topManifest(reading);
  let index: SourceManifest | undefined;
  for (let depth = 0; instance.manifest.kind === 'index'; depth++) {
    if (depth === MAX_INDEX_DEPTH)
      throw new TareError('invalid', `Cannot use ${source.name}: its indexes lead to indexes without end`);
    index ??= instance;
    const entries = instance.manifest.manifests;
    const chosen = choosePlatform(entries, platform);
    if (chosen === undefined) {
      const offered = new Set(
        entries.flatMap((entry) =>
          entry.platform && entry.platform.os !== 'unknown' ? [formatPlatform(entry.platform)] : [],
        ),
      );
      const list = [...offered].slice(0, 20).join(', ');
      throw new TareError(
        'not-found',
        `Cannot find an image for ${formatPlatform(platform)} in ${source.name}: ${list === '' ? 'it names no platform' : `it has ${list}`}`,
      );
    }
    instance = await source.manifest(chosen, reading);
  }
  return { instance, manifest: instance.manifest, index };
}

/** Errors: `unsupported` for an artifact, `invalid` when manifest and config disagree. */
function checkLayers(source: ImageSource, manifest: ImageManifest, config: ImageConfig): void {
  const { layers } = manifest;
  const { length } = config.diffIds;
  if (length !== layers.length) {
    throw new TareError(
      'invalid',
      `Cannot use ${source.name}: its manifest has ${layers.length} layers, its config ${length}`,
    );
  }
  for (const { digest, mediaType } of layers) {
    if (isLayerType(mediaType)) continue;
    throw new TareError(
      'unsupported',
      `Cannot pull ${source.name}: layer ${digest} is ${JSON.stringify(mediaType)}, which is not a file system`,
    );
  }
}

/** How many layers from the base up the store has. A chain is there only with all that is below it, so halving finds the end. */
async function countPresent(
  store: Pick<ImageStore<never, unknown>, 'hasLayer'>,
  diffIds: readonly DiffId[],
): Promise<number> {
  let [present, absent] = [0, diffIds.length + 1];
  for (let probe = diffIds.length; present + 1 < absent; probe = (present + absent) >> 1) {
    if (await store.hasLayer(diffIds.slice(0, probe))) present = probe;
    else absent = probe;
  }
  return present;
}

/** The body as it is, counted, and kept while it is unpacked. */
async function* tapped(
  body: AsyncIterable<Uint8Array>,
  keeper: BlobKeeper | undefined,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of body) {
    count(chunk.byteLength);
    const kept = keeper?.write(chunk);
    yield chunk;
    await kept;
  }
}
