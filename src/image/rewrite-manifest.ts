import { TareError } from '../base/errors.ts';
import { digestOf } from '../registry/verified.ts';
import { mediaTypes, type Descriptor, type Digest, type ImageIndex, type ImageManifest } from '../spec/mod.ts';
import type { ManifestToPut } from './destination.ts';

/** The two families of manifests: OCI's, and Docker's schema 2. */
export type ManifestFormat = 'oci' | 'v2s2';

/** What takes the place of a layer. */
export interface NewLayer {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly compression: 'gzip' | 'zstd' | 'none';
}

const types = {
  oci: {
    manifest: mediaTypes.ociManifest,
    index: mediaTypes.ociIndex,
    config: mediaTypes.ociConfig,
    gzip: mediaTypes.ociLayerGzip,
    zstd: mediaTypes.ociLayerZstd,
    none: mediaTypes.ociLayer,
  },
  v2s2: {
    manifest: mediaTypes.dockerManifest,
    index: mediaTypes.dockerList,
    config: mediaTypes.dockerConfig,
    gzip: mediaTypes.dockerLayerGzip,
    zstd: undefined,
    none: mediaTypes.dockerLayer,
  },
} as const;

/** Which family a manifest or index is of. */
export function formatOf({ mediaType }: { readonly mediaType: string }): ManifestFormat {
  return mediaType === mediaTypes.dockerManifest || mediaType === mediaTypes.dockerList ? 'v2s2' : 'oci';
}

/** How a layer's media type says it is compressed. */
export function compressionOfType(mediaType: string): 'gzip' | 'zstd' | 'none' {
  return mediaType.endsWith('gzip') ? 'gzip' : mediaType.endsWith('zstd') ? 'zstd' : 'none';
}

/**
 * The manifest with other layers, or in the other family; what neither changes stays as it is. `layers` has an entry for each place where something changes. Docker's
 * manifests have no annotations: they are lost on the way there.
 *
 * Errors: `unsupported` for zstd in Docker's.
 */
export function rewriteManifest(
  bytes: Uint8Array,
  manifest: ImageManifest,
  layers: readonly (NewLayer | undefined)[],
  format: ManifestFormat,
): ManifestToPut {
  const names = types[format];
  const isSame = formatOf(manifest) === format;
  const layerOf = (old: Descriptor, index: number): object => {
    const fresh = layers[index];
    const compression = fresh?.compression ?? compressionOfType(old.mediaType);
    const mediaType = isSame && compression === compressionOfType(old.mediaType) ? old.mediaType : names[compression];
    if (mediaType === undefined)
      throw new TareError('unsupported', "Cannot convert manifest: Docker's format has no zstd layers; use OCI's");
    const annotations = format === 'oci' ? annotationsOf(old, fresh) : undefined;
    return {
      mediaType,
      digest: fresh?.digest ?? old.digest,
      size: fresh?.sizeBytes ?? old.size,
      ...(annotations && { annotations }),
    };
  };
  const document = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>;
  const rewritten = isSame
    ? { ...document, layers: manifest.layers.map(layerOf) }
    : {
        schemaVersion: 2,
        mediaType: names.manifest,
        config: { mediaType: names.config, digest: manifest.config.digest, size: manifest.config.size },
        layers: manifest.layers.map(layerOf),
        ...(format === 'oci' && Object.keys(manifest.annotations).length > 0 && { annotations: manifest.annotations }),
      };
  return put(rewritten, names.manifest);
}

/** A layer that is compressed anew has none of what described the old compression (zstd:chunked). */
function annotationsOf(old: Descriptor, fresh: NewLayer | undefined): Readonly<Record<string, string>> | undefined {
  const kept = Object.entries(old.annotations ?? {}).filter(
    ([key]) => fresh === undefined || !key.startsWith('io.github.containers.zstd-chunked.'),
  );
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

/** The index with other instances in the same places, or in the other family. */
export function rewriteIndex(
  bytes: Uint8Array,
  index: ImageIndex,
  instances: readonly ManifestToPut[],
  format: ManifestFormat,
): ManifestToPut {
  const document = JSON.parse(Buffer.from(bytes).toString()) as { readonly manifests: readonly object[] };
  const names = types[format];
  const manifests = document.manifests.map((entry, place) => {
    const instance = instances[place];
    return instance === undefined
      ? entry
      : { ...entry, mediaType: instance.mediaType, digest: instance.digest, size: instance.bytes.byteLength };
  });
  const mediaType = formatOf(index) === format ? index.mediaType : names.index;
  return put({ ...document, mediaType, manifests }, mediaType);
}

function put(document: object, mediaType: string): ManifestToPut {
  const bytes = Buffer.from(JSON.stringify(document));
  return { bytes, mediaType, digest: digestOf(bytes) };
}
