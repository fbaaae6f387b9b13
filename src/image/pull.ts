import { TareError } from '../base/errors.ts';
import {
  IMAGE_CONFIG_MAX_BYTES,
  choosePlatform,
  formatPlatform,
  isImageConfigType,
  isLayerType,
  parseImageConfig,
  type Descriptor,
  type DiffId,
  type Digest,
  type ImageConfig,
  type ImageManifest,
  type Platform,
} from '../spec/mod.ts';
import { inParallel } from './_in-parallel.ts';
import { decompressed } from './decompressed.ts';
import type { ImageSource, SourceManifest } from './source.ts';
import type { CommitLayer, ImageStore, StagedLayer } from './store.ts';

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
}

/** A pulled image. */
export interface Pulled<Record> {
  readonly record: Record;
  readonly manifestDigest: Digest;
  readonly configDigest: Digest;
  readonly config: ImageConfig;
  readonly names: readonly string[];
}

const MAX_UNPACKED_BYTES = 64 * 2 ** 30;
/** An index may lead to another; deeper nests are nobody's. */
const MAX_INDEX_DEPTH = 3;

/**
 * Brings an image into a store. Each blob is read once: bytes, digest, decompression, staging; layers side by side; then one commit. A layer the store has is not
 * fetched. Whatever fails or is cancelled, nothing of the image is visible and staging is given up.
 *
 * Errors: `invalid` for an image that is not what its digests say, or is damaged; `not-found` when the index has nothing for the platform; `unsupported` for what is no
 * container image; `exhausted` past `maxUnpackedBytes`; those of source and store.
 */
export async function pullImage<Staged extends StagedLayer, Record>(
  source: ImageSource,
  store: ImageStore<Staged, Record>,
  options: PullOptions,
): Promise<Pulled<Record>> {
  const { signal, progress } = options;
  const reading = signal === undefined ? {} : { signal };
  const { instance, index, manifest } = await resolveImage(source, options.platform, signal);
  const configBytes = await source.smallBlob(manifest.config, IMAGE_CONFIG_MAX_BYTES, reading);
  const config = parseImageConfig(configBytes, `config of ${source.name}`);
  const layers = layersOf(source, manifest, config);
  progress?.({ phase: 'resolved', manifest: instance.digest, layers: manifest.layers });

  const present = await countPresent(store, config.diffIds);
  for (const [at, { compressedDigest }] of layers.slice(0, present).entries())
    progress?.({ phase: 'present', layer: compressedDigest, index: at });

  await using writers = new AsyncDisposableStack();
  const budget = { left: options.maxUnpackedBytes ?? MAX_UNPACKED_BYTES };
  const staged = await inParallel(
    manifest.layers.slice(present),
    options.parallel ?? 3,
    signal,
    async (descriptor, position, stop) => {
      const at = present + position;
      const writer = writers.use(
        await store.stageLayer({ compressedDigest: descriptor.digest, mediaType: descriptor.mediaType }),
      );
      const what = `layer ${descriptor.digest} of ${source.name}`;
      let bytes = 0;
      const body = counted(source.blob(descriptor, { signal: stop }), (length) => {
        bytes += length;
        progress?.({ phase: 'layer', layer: descriptor.digest, index: at, bytes, total: descriptor.size });
      });
      for await (const tar of decompressed(body, what)) {
        budget.left -= tar.byteLength;
        if (budget.left < 0)
          throw new TareError(
            'exhausted',
            `Cannot pull ${source.name}: it unpacks to more than ${options.maxUnpackedBytes ?? MAX_UNPACKED_BYTES} bytes`,
          );
        await writer.write(tar);
      }
      const layer = await writer.finish();
      if (layer.diffId !== config.diffIds[at]) {
        throw new TareError(
          'invalid',
          `Cannot use ${what}: it unpacks to ${layer.diffId}, the image's config says ${config.diffIds[at] ?? 'nothing'}`,
        );
      }
      progress?.({ phase: 'layer-done', layer: descriptor.digest, index: at });
      return layer;
    },
  );

  progress?.({ phase: 'commit' });
  const names = options.names ?? (source.storedName === undefined ? [] : [source.storedName]);
  const record = await store.commitImage({
    layers: layers.map((layer, at) => withStaged(layer, staged[at - present])),
    config: { bytes: configBytes, digest: manifest.config.digest },
    manifest: { bytes: instance.bytes, digest: instance.digest },
    ...(index && { index: { bytes: index.bytes, digest: index.digest } }),
    names,
  });
  return { record, manifestDigest: instance.digest, configDigest: manifest.config.digest, config, names };
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

/** The layers with their diffIds. Errors: `unsupported` for an artifact, `invalid` when manifest and config disagree. */
function layersOf(
  source: ImageSource,
  manifest: ImageManifest,
  config: ImageConfig,
): Omit<CommitLayer<never>, 'staged'>[] {
  if (!isImageConfigType(manifest.config.mediaType)) {
    throw new TareError(
      'unsupported',
      `Cannot pull ${source.name}: it is not a container image but ${JSON.stringify(manifest.artifactType ?? manifest.config.mediaType)}`,
    );
  }
  const { diffIds } = config;
  if (diffIds.length !== manifest.layers.length) {
    throw new TareError(
      'invalid',
      `Cannot use ${source.name}: its manifest has ${manifest.layers.length} layers, its config ${diffIds.length}`,
    );
  }
  return manifest.layers.map(({ digest, size, mediaType }, index) => {
    const diffId = diffIds[index];
    if (!isLayerType(mediaType) || diffId === undefined) {
      throw new TareError(
        'unsupported',
        `Cannot pull ${source.name}: layer ${digest} is ${JSON.stringify(mediaType)}, which is not a file system`,
      );
    }
    return { diffId, compressedDigest: digest, compressedSizeBytes: size, mediaType };
  });
}

/** How many layers from the base up the store has. */
async function countPresent(
  store: { hasLayer(chain: readonly DiffId[]): boolean | Promise<boolean> },
  diffIds: readonly DiffId[],
): Promise<number> {
  let present = 0;
  while (present < diffIds.length && (await store.hasLayer(diffIds.slice(0, present + 1)))) present++;
  return present;
}

function withStaged<Staged extends StagedLayer>(
  layer: Omit<CommitLayer<Staged>, 'staged'>,
  staged: Staged | undefined,
): CommitLayer<Staged> {
  return staged === undefined ? layer : { ...layer, staged };
}

async function* counted(
  body: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of body) {
    count(chunk.byteLength);
    yield chunk;
  }
}
