/** Makes images in memory, for tests: their blobs and manifests are real, and may be wrong in any way a test wants. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { mediaTypes, type Descriptor, type Digest } from '../../src/spec/mod.ts';

export interface BuiltImage {
  readonly manifest: Blob;
  readonly config: Blob;
  readonly layers: readonly Blob[];
  readonly diffIds: readonly Digest[];
}

export interface Blob {
  readonly bytes: Buffer;
  readonly descriptor: Descriptor;
}

export interface ImageParts {
  /** Uncompressed tars, base first. */
  readonly layers: readonly Uint8Array[];
  /** gzip unless stated. */
  readonly compress?: (tar: Uint8Array) => Uint8Array;
  readonly layerType?: string;
  readonly architecture?: string;
  readonly variant?: string;
  /** The `config` object of the image config. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Replaces the uncompressed digests of the config. */
  readonly diffIds?: readonly string[];
}

const sha256 = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;

/** A blob of `bytes` with its descriptor. */
export function blobOf(bytes: Uint8Array | string | object, mediaType: string): Blob {
  const buffer =
    bytes instanceof Uint8Array || typeof bytes === 'string' ? Buffer.from(bytes) : Buffer.from(JSON.stringify(bytes));
  return { bytes: buffer, descriptor: { mediaType, digest: sha256(buffer), size: buffer.length } };
}

/** An OCI image. The same parts give the same bytes. */
export function buildImage(parts: ImageParts): BuiltImage {
  const compress = parts.compress ?? ((tar: Uint8Array) => gzipSync(tar, { level: 6 }));
  const layers = parts.layers.map((tar) => blobOf(compress(tar), parts.layerType ?? mediaTypes.ociLayerGzip));
  const diffIds = parts.layers.map(sha256);
  const config = blobOf(
    {
      created: '2026-01-01T00:00:00Z',
      architecture: parts.architecture ?? hostArchitecture(),
      os: 'linux',
      ...(parts.variant && { variant: parts.variant }),
      config: parts.config ?? {},
      rootfs: { type: 'layers', diff_ids: parts.diffIds ?? diffIds },
      history: layers.map((_, index) => ({ created: '2026-01-01T00:00:00Z', created_by: `layer ${index}` })),
    },
    mediaTypes.ociConfig,
  );
  const manifest = blobOf(
    {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: config.descriptor,
      layers: layers.map((layer) => layer.descriptor),
    },
    mediaTypes.ociManifest,
  );
  return { manifest, config, layers, diffIds };
}

/** An OCI index of images, each with the platform in its entry. */
export function buildIndex(
  entries: readonly { readonly image: BuiltImage; readonly architecture: string; readonly variant?: string }[],
): Blob {
  return blobOf(
    {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: entries.map(({ image, architecture, variant }) => ({
        ...image.manifest.descriptor,
        platform: { os: 'linux', architecture, ...(variant && { variant }) },
      })),
    },
    mediaTypes.ociIndex,
  );
}

/** The architecture of this machine in OCI's words. */
export function hostArchitecture(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch;
}

/** Writes an OCI layout with these blobs; `names` points reference names at some of them. */
export function writeLayout(dir: string, blobs: Iterable<Blob>, names: Readonly<Record<string, Blob>>): void {
  mkdirSync(join(dir, 'blobs/sha256'), { recursive: true });
  for (const { bytes, descriptor } of blobs)
    writeFileSync(join(dir, 'blobs', descriptor.digest.replace(':', '/')), bytes);
  writeFileSync(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const manifests = Object.entries(names).map(([name, { descriptor }]) => ({
    ...descriptor,
    annotations: { 'org.opencontainers.image.ref.name': name },
  }));
  writeFileSync(
    join(dir, 'index.json'),
    JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }),
  );
}

/** All blobs of an image, its manifest included. */
export function blobsOf(image: BuiltImage): Blob[] {
  return [image.manifest, image.config, ...image.layers];
}
