import { TareError } from '../base/errors.ts';
import { parseReference, type Descriptor, type Digest, type Reference } from '../spec/mod.ts';
import type { ImageRecord, LayerRecord, Store } from '../storage/mod.ts';
import type { BlobCache } from './blob-cache.ts';
import type { LayerTarSource, RawImageSource, TopManifest } from './source.ts';
import { storedLayerTar } from './stored-layer.ts';

/** An image of a store that was found there. */
export interface StoredImage {
  readonly store: Store;
  readonly image: ImageRecord;
  /** The name it was asked for by, in full; undefined: by id. */
  readonly name?: string;
}

/**
 * An image in the image store (containers-storage:). Its manifest and config are as they were pulled. Its layers are unpacked: they come as the tars they were, byte for
 * byte, and as the blobs they were where a cache still has those.
 *
 * Errors: `failed-precondition` when a layer is missing.
 */
export function storageSource(stored: StoredImage, cache?: BlobCache): RawImageSource {
  const { store, image } = stored;
  const name = `containers-storage:${stored.name ?? image.id.slice(0, 12)}`;
  const layers = store.imageLayers(image).toReversed();
  const tars = new Map(layers.flatMap((layer): [Digest, LayerTarSource][] => keyed(store, layer)));
  const configDigest = `sha256:${image.id}`;
  return {
    name,
    storedName: stored.name,
    origins: originsOf(stored),
    async topManifest(): Promise<TopManifest> {
      return { bytes: store.readManifest(image), ...(image.digest !== undefined && { digest: image.digest }) };
    },
    async manifest({ digest }) {
      return store.readManifest(image, digest);
    },
    hasBlob({ digest, size }) {
      return digest === configDigest || tars.has(digest) || cache?.find(digest)?.sizeBytes === size;
    },
    async *blob({ digest }: Descriptor, signal) {
      const found = tars.get(digest) ?? cache?.find(digest);
      if (digest === configDigest) yield store.readConfig(image);
      else if (found === undefined)
        throw new TareError('not-found', `Cannot read blob ${digest} of ${name}: it is not kept in this form`);
      else yield* 'open' in found ? found.open(signal) : found.read();
    },
    layerTar(index) {
      const layer = layers[index];
      return layer === undefined ? undefined : keyed(store, layer)[0]?.[1];
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** A layer's tar with its digest; nothing where the store does not know it. */
function keyed(store: Store, layer: LayerRecord): [Digest, LayerTarSource][] {
  const { diffId, sizeBytes } = layer;
  if (diffId === undefined || sizeBytes === undefined) return [];
  const tar = { diffId, sizeBytes, open: (signal?: AbortSignal) => storedLayerTar(store, layer, signal) };
  return [[diffId as string as Digest, tar]];
}

function originsOf({ image, name }: StoredImage): Reference[] {
  const names = new Set([...(name === undefined ? [] : [name]), ...image.names, ...image.namesHistory]);
  return [...names].flatMap((text) => {
    try {
      return [parseReference(text)];
    } catch {
      return [];
    }
  });
}
