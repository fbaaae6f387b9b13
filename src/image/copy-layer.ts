import { sleep } from '../base/clock.ts';
import { TareError, isKind } from '../base/errors.ts';
import type { BlobIdentity } from '../registry/registry.ts';
import {
  digestAlgorithm,
  type Descriptor,
  type DiffId,
  type Digest,
  type ImageManifest,
  type Reference,
} from '../spec/mod.ts';
import { compressLayer, hashed, type LayerCompression } from './compress-layer.ts';
import type { CopyOptions } from './copy.ts';
import type { ImageDestination } from './destination.ts';
import { openLayerTar } from './layer-tar.ts';
import { compressionOfType, type ManifestFormat, type NewLayer } from './rewrite-manifest.ts';
import type { ImageSource } from './source.ts';

type Count = (bytes: number) => void;

/** Of a layer that is compressed on its way, when connections break. */
const STREAM_ATTEMPTS = 3;
const RETRY_MS = 500;

/** Copies the layers of one image, each in the cheapest way that gives what the destination wants. */
export class LayerCopy {
  readonly #source: ImageSource;
  readonly #destination: ImageDestination;
  readonly #manifest: ImageManifest;
  readonly #diffIds: readonly DiffId[] | undefined;
  readonly #format: ManifestFormat;
  readonly #options: CopyOptions;
  /** One blob may be several layers: it goes once. */
  readonly #copied = new Map<Digest, Promise<NewLayer | undefined>>();

  /** `diffIds`: those of the config, one for each layer; undefined for what is no container image. */
  constructor(
    source: ImageSource,
    destination: ImageDestination,
    manifest: ImageManifest,
    diffIds: readonly DiffId[] | undefined,
    format: ManifestFormat,
    options: CopyOptions,
  ) {
    this.#source = source;
    this.#destination = destination;
    this.#manifest = manifest;
    this.#diffIds = diffIds;
    this.#format = format;
    this.#options = options;
  }

  /** Brings the layer to the destination. The result says what it is there; undefined: what the manifest says. */
  copy(index: number, signal: AbortSignal): Promise<NewLayer | undefined> {
    const layer = this.#manifest.layers[index] as Descriptor; // the caller's index is one of its
    const known = this.#copied.get(layer.digest);
    if (known !== undefined) {
      return known.then((result) => {
        this.#options.progress?.({ phase: 'present', layer: layer.digest, index });
        return result;
      });
    }
    const copying = this.#copy(layer, index, signal);
    this.#copied.set(layer.digest, copying);
    return copying;
  }

  async #copy(layer: Descriptor, index: number, signal: AbortSignal): Promise<NewLayer | undefined> {
    const { progress } = this.#options;
    const blob = { digest: layer.digest, sizeBytes: layer.size };
    const wanted = this.#wanted(layer, index);
    if (wanted === undefined && (await this.#isThere(blob, signal))) {
      progress?.({ phase: 'present', layer: layer.digest, index });
      return undefined;
    }
    if (wanted === undefined && this.#source.hasBlob(layer) && (await this.#sendAsIs(layer, index, signal))) {
      progress?.({ phase: 'layer-done', layer: layer.digest, index });
      return undefined;
    }
    const compression = wanted ?? this.#again(layer);
    const before = await this.#compressedBefore(index, compression, signal);
    const result = before ?? (await this.#make(layer, index, compression, signal));
    progress?.({ phase: before === undefined ? 'layer-done' : 'present', layer: layer.digest, index });
    return result;
  }

  /** False when the blob was not what it should be, and the layer can be made in another way: a cache is only a cache. */
  async #sendAsIs(layer: Descriptor, index: number, signal: AbortSignal): Promise<boolean> {
    const count = this.#counter(layer, index, layer.size);
    try {
      await this.#destination.putBlob(
        { digest: layer.digest, sizeBytes: layer.size, kind: 'layer' },
        (offset) => from(counted(this.#source.blob(layer, { signal }), count), offset),
        { signal },
      );
      return true;
    } catch (error) {
      const canMake = this.#source.layerTar(index) !== undefined && layer.digest !== (this.#diffIds?.[index] as string);
      if (isKind(error, 'invalid') && canMake) return false;
      throw error;
    }
  }

  /** What the layer became when it was compressed in this way before, if the destination has that. */
  async #compressedBefore(
    index: number,
    compression: LayerCompression,
    signal: AbortSignal,
  ): Promise<NewLayer | undefined> {
    const diffId = this.#diffIds?.[index];
    const known = diffId && this.#options.compressedBlobs?.find(diffId, compression);
    if (diffId === undefined || known === undefined || !(await this.#isThere(known, signal, known.origins)))
      return undefined;
    return this.#remember(diffId, compression, known);
  }

  /** The compression that the layer must get; undefined: it may stay as it is. */
  #wanted(layer: Descriptor, index: number): LayerCompression | undefined {
    const { format = 'gzip', level, force = false } = this.#options.compression ?? {};
    const compression = { format, ...(level !== undefined && { level }) };
    const now = compressionOfType(layer.mediaType);
    if (this.#destination.takes.layers === 'plain')
      return layer.digest === (this.#diffIds?.[index] as string) ? undefined : { format: 'none' };
    if (this.#diffIds === undefined) return undefined;
    if (this.#format === 'v2s2' && (now === 'zstd' || format === 'zstd')) {
      if (force && format === 'zstd')
        throw new TareError('unsupported', "Cannot compress with zstd: Docker's manifest format has no such layers");
      return now === 'zstd' ? { format: 'gzip' } : undefined;
    }
    return force && now !== format ? compression : undefined;
  }

  /** The same compression once more, for a layer whose blob is not kept. */
  #again(layer: Descriptor): LayerCompression {
    const { format, level } = this.#options.compression ?? {};
    const now = compressionOfType(layer.mediaType);
    const next = format ?? (now === 'none' ? 'gzip' : now);
    return { format: next, ...(level !== undefined && { level }) };
  }

  async #make(layer: Descriptor, index: number, compression: LayerCompression, signal: AbortSignal): Promise<NewLayer> {
    const diffId = this.#diffIds?.[index];
    if (diffId === undefined)
      throw new TareError('not-found', `Cannot copy ${this.#source.name}: blob ${layer.digest} is not kept`);
    const { format } = compression;
    const stored = this.#source.layerTar(index);
    if (stored !== undefined) {
      if (stored.diffId !== diffId)
        throw new TareError(
          'invalid',
          `Cannot use ${this.#source.name}: its layer ${index + 1} is ${stored.diffId}, its config says ${diffId}`,
        );
      const count = this.#counter(layer, index, stored.sizeBytes);
      if (format === 'none') {
        const plain = { digest: diffId as string as Digest, sizeBytes: stored.sizeBytes };
        if (!(await this.#isThere(plain, signal)))
          await this.#destination.putBlob(
            { ...plain, kind: 'layer' },
            (offset) => from(counted(stored.open(signal), count), offset),
            { signal },
          );
        return { ...plain, compression: format };
      }
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#send(counted(stored.open(signal), count), diffId, compression, signal);
        } catch (error) {
          // A stream cannot go on after a break, but this one can be made again.
          if (attempt === STREAM_ATTEMPTS || !isKind(error, 'unavailable')) throw error;
        }
        await sleep(attempt * RETRY_MS, signal).catch(() => {});
      }
    }
    const count = this.#counter(layer, index, layer.size);
    const what = `layer ${layer.digest} of ${this.#source.name}`;
    await using opened = await openLayerTar(counted(this.#source.blob(layer, { signal }), count), what);
    return await this.#send(checked(opened.tar, diffId, what), diffId, compression, signal);
  }

  /** `tar` has been checked when it ends. */
  async #send(
    tar: AsyncIterable<Uint8Array>,
    diffId: DiffId,
    compression: LayerCompression,
    signal: AbortSignal,
  ): Promise<NewLayer> {
    const { body, finish } = compressLayer(tar, compression);
    await this.#destination.streamBlob(body, finish, { signal });
    return this.#remember(diffId, compression, finish());
  }

  #remember(diffId: DiffId, compression: LayerCompression, { digest, sizeBytes }: BlobIdentity): NewLayer {
    const blob = { digest, sizeBytes };
    const { compressedBlobs } = this.#options;
    if (compression.format !== 'none')
      compressedBlobs?.remember(diffId, compression, blob, this.#destination.repository);
    return { ...blob, compression: compression.format };
  }

  #isThere(blob: BlobIdentity, signal: AbortSignal, others: readonly Reference[] = []): Promise<boolean> {
    return this.#destination.hasBlob(blob, { signal, origins: [...others, ...this.#source.origins] });
  }

  #counter(layer: Descriptor, index: number, total: number): Count {
    const { progress } = this.#options;
    return (bytes) => progress?.({ phase: 'layer', layer: layer.digest, index, bytes, total });
  }
}

/** Tells how many bytes went by so far. */
async function* counted(body: AsyncIterable<Uint8Array>, count: Count): AsyncGenerator<Uint8Array, void, void> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    count(bytes);
    yield chunk;
  }
}

/** Without the first bytes: they are read all the same, so that the digest of the whole is checked. */
async function* from(body: AsyncIterable<Uint8Array>, offset: number): AsyncGenerator<Uint8Array, void, void> {
  let skip = offset;
  for await (const chunk of body) {
    const rest = chunk.subarray(skip);
    skip = Math.max(0, skip - chunk.byteLength);
    if (rest.byteLength > 0) yield rest;
  }
}

/** Fails at the end unless the tar is that of the diffId. */
async function* checked(
  tar: AsyncIterable<Uint8Array>,
  diffId: DiffId,
  what: string,
): AsyncGenerator<Uint8Array, void, void> {
  const { body, finish } = hashed(tar, digestAlgorithm(diffId));
  yield* body;
  const { digest } = finish();
  if (digest !== (diffId as string))
    throw new TareError('invalid', `Cannot use ${what}: it unpacks to ${digest}, the image's config says ${diffId}`);
}
