import { TareError } from '../base/errors.ts';
import {
  IMAGE_CONFIG_MAX_BYTES,
  isImageConfigType,
  parseImageConfig,
  type ImageManifest,
  type Platform,
} from '../spec/mod.ts';
import { LayerCopy } from './copy-layer.ts';
import { inParallel } from './_in-parallel.ts';
import type { LayerCompression } from './compress-layer.ts';
import type { CompressedBlobs } from './compressed-blobs.ts';
import type { ImageDestination, ManifestToPut } from './destination.ts';
import { MAX_INDEX_DEPTH, resolveImage, type PullEvent } from './pull.ts';
import { formatOf, rewriteIndex, rewriteManifest, type ManifestFormat } from './rewrite-manifest.ts';
import type { ImageSource, SourceManifest } from './source.ts';

export interface CopyOptions {
  /** What to choose from an index. */
  readonly platform: Platform;
  /** The whole index with every image in it. Errors: `unsupported` where the destination holds none. */
  readonly all?: boolean;
  /** The family of the manifest; what it is unless stated. */
  readonly format?: ManifestFormat;
  /** For layers that have to be compressed; with `force` also for those that are there in another format. gzip unless stated. */
  readonly compression?: Partial<LayerCompression> & { readonly force?: boolean };
  /** What layers became when they were compressed before. */
  readonly compressedBlobs?: CompressedBlobs;
  /** Layers at a time: 3 unless stated. */
  readonly parallel?: number;
  readonly signal?: AbortSignal;
  readonly progress?: (event: PullEvent) => void;
}

export interface Copied {
  /** What stands at the destination now. */
  readonly manifest: ManifestToPut;
  /** True when that is what stood at the source, byte for byte. */
  readonly isSame: boolean;
}

/**
 * Copies an image from one place to another. Every byte is checked against its digest on the way; layers go side by side; what the destination has is not sent. A layer goes as
 * it is where the source has it so, and else is compressed anew, which changes the manifest. Nothing is visible at the destination before the end.
 *
 * Errors: those of source and destination; `invalid` for content that is not as promised; `unsupported` for what the destination cannot hold.
 */
export async function copyImage(
  source: ImageSource,
  destination: ImageDestination,
  options: CopyOptions,
): Promise<Copied> {
  const { signal, progress } = options;
  const reading = signal === undefined ? {} : { signal };
  const top =
    options.all === true
      ? await source.topManifest(reading)
      : (await resolveImage(source, options.platform, signal)).instance;
  const manifest = await copyTree(source, destination, top, options, 0);
  progress?.({ phase: 'commit' });
  await destination.commit(manifest, reading);
  return { manifest, isSame: manifest.digest === top.digest };
}

/** Copies what a manifest or index leads to; the result is to be put by the caller. */
async function copyTree(
  source: ImageSource,
  destination: ImageDestination,
  root: SourceManifest,
  options: CopyOptions,
  depth: number,
): Promise<ManifestToPut> {
  const { manifest } = root;
  if (manifest.kind === 'manifest') return copyInstance(source, destination, { ...root, manifest }, options);
  if (!destination.takes.indexes)
    throw new TareError('unsupported', `Cannot write ${destination.name}: it holds single images, not an index`);
  if (depth === MAX_INDEX_DEPTH)
    throw new TareError('invalid', `Cannot use ${source.name}: its indexes lead to indexes without end`);
  const putting = options.signal === undefined ? {} : { signal: options.signal };
  const instances: ManifestToPut[] = [];
  for (const entry of manifest.manifests) {
    const instance = await copyTree(source, destination, await source.manifest(entry, putting), options, depth + 1);
    await destination.putManifest(instance, putting);
    instances.push(instance);
  }
  const format = options.format ?? formatOf(manifest);
  const isSame =
    format === formatOf(manifest) &&
    manifest.manifests.every(({ digest }, place) => instances[place]?.digest === digest);
  return isSame ? { ...root, mediaType: manifest.mediaType } : rewriteIndex(root.bytes, manifest, instances, format);
}

async function copyInstance(
  source: ImageSource,
  destination: ImageDestination,
  instance: SourceManifest & { readonly manifest: ImageManifest },
  options: CopyOptions,
): Promise<ManifestToPut> {
  const { signal, progress } = options;
  const { manifest, bytes, digest } = instance;
  const reading = signal === undefined ? {} : { signal };
  const format = destination.takes.manifests === 'docker' ? 'v2s2' : (options.format ?? formatOf(manifest));
  const isImage = isImageConfigType(manifest.config.mediaType);
  if (!isImage && (format !== formatOf(manifest) || destination.takes.layers === 'plain'))
    throw new TareError('unsupported', `Cannot convert ${source.name}: it is not a container image`);
  const config = await source.smallBlob(manifest.config, IMAGE_CONFIG_MAX_BYTES, reading);
  const diffIds = isImage ? parseImageConfig(config, `config of ${source.name}`).diffIds : undefined;
  if (diffIds !== undefined && diffIds.length !== manifest.layers.length)
    throw new TareError(
      'invalid',
      `Cannot use ${source.name}: its manifest has ${manifest.layers.length} layers, its config ${diffIds.length}`,
    );
  progress?.({ phase: 'resolved', manifest: digest, layers: manifest.layers });
  const layerCopy = new LayerCopy(source, destination, manifest, diffIds, format, options);
  const layers = await inParallel(manifest.layers, options.parallel ?? 3, signal, (_, index, stop) =>
    layerCopy.copy(index, stop),
  );
  const configBlob = { digest: manifest.config.digest, sizeBytes: manifest.config.size, kind: 'config' } as const;
  if (!(await destination.hasBlob(configBlob, { ...reading, origins: source.origins })))
    await destination.putBlob(configBlob, (offset) => once(config.subarray(offset)), reading);
  const isSame = format === formatOf(manifest) && layers.every((layer) => layer === undefined);
  return isSame ? { bytes, digest, mediaType: manifest.mediaType } : rewriteManifest(bytes, manifest, layers, format);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
