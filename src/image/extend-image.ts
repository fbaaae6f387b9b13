import { TareError } from '../base/errors.ts';
import { digestOf } from '../registry/verified.ts';
import {
  IMAGE_CONFIG_MAX_BYTES,
  mediaTypes,
  parseImageConfig,
  parseManifest,
  type Descriptor,
  type DiffId,
  type Digest,
  type Platform,
  type ProcessDocument,
} from '../spec/mod.ts';
import { MANIFEST_MAX_LAYERS } from '../spec/manifest.ts';
import { formatOf, rewriteManifest, type ManifestFormat } from './rewrite-manifest.ts';

/** An image as its documents, from which another is made. */
export interface BaseImage {
  readonly config: Uint8Array;
  readonly manifest: Uint8Array;
}

/** What is new. */
export interface ImageExtension {
  /** Of the layer on top: its tar, uncompressed. */
  readonly layer: { readonly diffId: DiffId; readonly sizeBytes: number };
  /** The whole `config` object of the new image. */
  readonly process: ProcessDocument;
  /** Of an image without a base. */
  readonly platform: Platform;
  /** RFC 3339. */
  readonly created: string;
  readonly createdBy: string;
  readonly author?: string;
  readonly comment?: string;
  /** The manifest's family: the base's unless stated, OCI without one. */
  readonly format?: ManifestFormat;
}

/** What is to be stored. */
export interface ExtendedImage {
  readonly config: Buffer;
  readonly manifest: Buffer;
  /** Of all layers, base first. */
  readonly diffIds: readonly DiffId[];
}

/**
 * The documents of an image with one layer more: the base's layers, history and unknown fields are kept. Equal input gives equal bytes.
 *
 * Errors: `invalid` for a base whose documents do not fit each other, or what makes no valid config; `unsupported` for too many layers, or a format that cannot have them.
 */
export function extendImage(base: BaseImage | undefined, fresh: ImageExtension): ExtendedImage {
  const { layer, platform } = fresh;
  const known = base === undefined ? undefined : parseImageConfig(base.config, 'config of the base image');
  const document = base === undefined ? {} : (JSON.parse(Buffer.from(base.config).toString()) as ProcessDocument);
  const diffIds = [...(known?.diffIds ?? []), layer.diffId];
  if (diffIds.length > MANIFEST_MAX_LAYERS)
    throw new TareError(
      'unsupported',
      `Cannot add a layer: the image has ${diffIds.length - 1} of them already, the most there can be`,
    );
  // What Docker noted of the container that the base was made from is not true of this one.
  const { container: _container, container_config: _config, id: _id, parent: _parent, comment: _, ...rest } = document;
  const config = Buffer.from(
    JSON.stringify({
      ...rest,
      created: fresh.created,
      ...(fresh.author === undefined ? {} : { author: fresh.author }),
      // Docker's own field beside the history.
      ...(fresh.format === 'v2s2' && fresh.comment !== undefined ? { comment: fresh.comment } : {}),
      ...(base === undefined ? platform : {}),
      config: fresh.process,
      rootfs: { type: 'layers', diff_ids: diffIds },
      history: [...(Array.isArray(rest['history']) ? (rest['history'] as unknown[]) : []), historyOf(fresh)],
    }),
  );
  if (config.byteLength > IMAGE_CONFIG_MAX_BYTES)
    throw new TareError('invalid', `Cannot make image: its config has more than ${IMAGE_CONFIG_MAX_BYTES} bytes`);
  parseImageConfig(config, 'config of the new image');
  return { config, manifest: manifestOf(base, config, layer, diffIds.length, fresh.format), diffIds };
}

function historyOf({ created, createdBy, author, comment }: ImageExtension): object {
  return {
    created,
    created_by: createdBy,
    ...(author === undefined ? {} : { author }),
    ...(comment === undefined || comment === '' ? {} : { comment }),
  };
}

function manifestOf(
  base: BaseImage | undefined,
  config: Buffer,
  layer: ImageExtension['layer'],
  count: number,
  wanted: ManifestFormat | undefined,
): Buffer {
  const old = base === undefined ? undefined : parseManifest(base.manifest, undefined, 'manifest of the base image');
  if (old !== undefined && (old.kind !== 'manifest' || old.layers.length !== count - 1))
    throw new TareError('invalid', 'Cannot use the base image: its manifest and its config name different layers');
  const format = wanted ?? (old === undefined ? 'oci' : formatOf(old));
  const below =
    base === undefined || old?.kind !== 'manifest'
      ? []
      : (JSON.parse(rewriteManifest(base.manifest, old, [], format).bytes.toString()) as { layers: Descriptor[] })
          .layers;
  const [manifestType, configType, layerType] =
    format === 'oci'
      ? [mediaTypes.ociManifest, mediaTypes.ociConfig, mediaTypes.ociLayer]
      : [mediaTypes.dockerManifest, mediaTypes.dockerConfig, mediaTypes.dockerLayer];
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: { mediaType: configType, digest: digestOf(config), size: config.byteLength },
      layers: [...below, { mediaType: layerType, digest: layer.diffId as string as Digest, size: layer.sizeBytes }],
    }),
  );
}
