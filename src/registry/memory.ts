import { isKind } from '../base/errors.ts';
import {
  digestAlgorithm,
  isDigest,
  mediaTypes,
  parseManifest,
  type Descriptor,
  type Digest,
  type Manifest,
  type RepositoryPath,
  type Tag,
} from '../spec/mod.ts';
import { throwIfCancelled } from './_cancel.ts';
import { RegistryError, registryError } from './error.ts';
import type {
  BlobContent,
  BlobIdentity,
  BlobOptions,
  ContentInfo,
  ManifestContent,
  Registry,
  RequestOptions,
} from './registry.ts';
import { digestOf } from './verified.ts';

export interface MemoryRegistryOptions {
  /** The largest blob that is taken; 1 GiB unless stated. */
  readonly maxBlobBytes?: number;
}

interface Repository {
  readonly blobs: Map<Digest, Uint8Array>;
  readonly manifests: Map<Digest, ManifestContent>;
  readonly tags: Map<Tag, Digest>;
}

/** A registry in memory: complete in behaviour, gone with the process. Bytes are kept as given, not copied. */
export class MemoryRegistry implements Registry {
  readonly #repositories = new Map<RepositoryPath, Repository>();
  readonly #maxBlobBytes: number;

  constructor(options: MemoryRegistryOptions = {}) {
    this.#maxBlobBytes = options.maxBlobBytes ?? 1024 ** 3;
  }

  /** Stores a blob and returns its digest. */
  addBlob(repository: RepositoryPath, bytes: Uint8Array, algorithm: 'sha256' | 'sha384' | 'sha512' = 'sha256'): Digest {
    const digest = digestOf(bytes, algorithm);
    this.#make(repository).blobs.set(digest, bytes);
    return digest;
  }

  /** Stores a manifest, points `tag` at it where given, and returns its digest. What it refers to is not looked for. */
  addManifest(
    repository: RepositoryPath,
    bytes: Uint8Array,
    mediaType: string = mediaTypes.ociManifest,
    tag?: Tag,
  ): Digest {
    const digest = digestOf(bytes);
    const { manifests, tags } = this.#make(repository);
    manifests.set(digest, { bytes, mediaType, digest });
    if (tag !== undefined) tags.set(tag, digest);
    return digest;
  }

  async getManifest(
    repository: RepositoryPath,
    reference: Tag | Digest,
    options?: RequestOptions,
  ): Promise<ManifestContent> {
    return this.#manifest(repository, reference, options);
  }

  async headManifest(
    repository: RepositoryPath,
    reference: Tag | Digest,
    options?: RequestOptions,
  ): Promise<ContentInfo> {
    const { bytes, mediaType, digest } = this.#manifest(repository, reference, options);
    return { mediaType, digest, sizeBytes: bytes.byteLength };
  }

  async getBlob(repository: RepositoryPath, digest: Digest, options?: BlobOptions): Promise<BlobContent> {
    const bytes = this.#blob(repository, digest, options);
    const offset = options?.offset ?? 0;
    if (offset > bytes.byteLength)
      throw registryError('RANGE_INVALID', `Cannot read blob ${digest}: it has only ${bytes.byteLength} bytes`);
    return { sizeBytes: bytes.byteLength, body: chunks(bytes.subarray(offset), options?.signal) };
  }

  async headBlob(repository: RepositoryPath, digest: Digest, options?: RequestOptions): Promise<ContentInfo> {
    return {
      mediaType: 'application/octet-stream',
      digest,
      sizeBytes: this.#blob(repository, digest, options).byteLength,
    };
  }

  async *tags(repository: RepositoryPath, options?: RequestOptions): AsyncGenerator<Tag> {
    throwIfCancelled(options?.signal, `read ${repository}`);
    yield* [...this.#get(repository).tags.keys()].sort();
  }

  async mountBlob(
    repository: RepositoryPath,
    digest: Digest,
    from: RepositoryPath,
    options?: RequestOptions,
  ): Promise<boolean> {
    throwIfCancelled(options?.signal, `write to ${repository}`);
    const bytes = this.#repositories.get(from)?.blobs.get(digest);
    if (bytes !== undefined) this.#make(repository).blobs.set(digest, bytes);
    return bytes !== undefined;
  }

  async putBlob(
    repository: RepositoryPath,
    blob: BlobIdentity,
    open: (offset: number) => AsyncIterable<Uint8Array>,
    options?: RequestOptions,
  ): Promise<void> {
    throwIfCancelled(options?.signal, `write to ${repository}`);
    if (this.#repositories.get(repository)?.blobs.has(blob.digest) === true) return;
    await this.streamBlob(repository, open(0), () => blob, options);
  }

  async streamBlob(
    repository: RepositoryPath,
    body: AsyncIterable<Uint8Array>,
    finish: () => BlobIdentity,
    options?: RequestOptions,
  ): Promise<void> {
    throwIfCancelled(options?.signal, `write to ${repository}`);
    const pieces: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const piece of body) {
      throwIfCancelled(options?.signal, `write to ${repository}`);
      sizeBytes += piece.byteLength;
      if (sizeBytes > this.#maxBlobBytes)
        throw new RegistryError(
          413,
          'SIZE_INVALID',
          `Cannot store the blob: it is longer than ${this.#maxBlobBytes} bytes`,
        );
      pieces.push(piece);
    }
    const told = finish();
    const bytes = Buffer.concat(pieces, sizeBytes);
    if (told.sizeBytes !== sizeBytes)
      throw registryError(
        'SIZE_INVALID',
        `Cannot store blob ${told.digest}: it has ${sizeBytes} bytes, not ${told.sizeBytes}`,
      );
    const actual = digestOf(bytes, digestAlgorithm(told.digest));
    if (actual !== told.digest)
      throw registryError('DIGEST_INVALID', `Cannot store blob ${told.digest}: its digest is ${actual}`);
    this.#make(repository).blobs.set(told.digest, bytes);
  }

  async putManifest(
    repository: RepositoryPath,
    reference: Tag | Digest,
    manifest: { readonly bytes: Uint8Array; readonly mediaType: string },
    options?: RequestOptions,
  ): Promise<Digest> {
    throwIfCancelled(options?.signal, `write to ${repository}`);
    const name = `${repository} ${reference}`;
    const digest = digestOf(manifest.bytes, isDigest(reference) ? digestAlgorithm(reference) : 'sha256');
    if (isDigest(reference) && digest !== reference)
      throw registryError('DIGEST_INVALID', `Cannot store manifest ${name}: its digest is ${digest}`);
    const held = this.#repositories.get(repository);
    for (const { digest: needed, isManifest } of referredTo(parsed(manifest, name))) {
      if ((isManifest ? held?.manifests : held?.blobs)?.has(needed) !== true)
        throw registryError(
          'MANIFEST_BLOB_UNKNOWN',
          `Cannot store manifest ${name}: it refers to ${needed}, which is not here`,
        );
    }
    const { manifests, tags } = this.#make(repository);
    manifests.set(digest, { bytes: Buffer.from(manifest.bytes), mediaType: manifest.mediaType, digest });
    if (!isDigest(reference)) tags.set(reference as Tag, digest);
    return digest;
  }

  async deleteManifest(repository: RepositoryPath, reference: Tag | Digest, options?: RequestOptions): Promise<void> {
    const { digest } = this.#manifest(repository, reference, options);
    const { manifests, tags } = this.#get(repository);
    if (!isDigest(reference)) {
      tags.delete(reference as Tag);
      return;
    }
    manifests.delete(digest);
    for (const [tag, target] of tags) if (target === digest) tags.delete(tag);
  }

  #make(name: RepositoryPath): Repository {
    let repository = this.#repositories.get(name);
    if (repository === undefined) {
      repository = { blobs: new Map(), manifests: new Map(), tags: new Map() };
      this.#repositories.set(name, repository);
    }
    return repository;
  }

  #get(name: RepositoryPath): Repository {
    const repository = this.#repositories.get(name);
    if (repository === undefined)
      throw registryError('NAME_UNKNOWN', `Cannot find repository ${name}: the registry does not have it`);
    return repository;
  }

  #manifest(name: RepositoryPath, reference: Tag | Digest, options?: RequestOptions): ManifestContent {
    throwIfCancelled(options?.signal, `read ${name}`);
    const { manifests, tags } = this.#get(name);
    const digest = isDigest(reference) ? reference : tags.get(reference as Tag);
    const manifest = digest && manifests.get(digest);
    if (manifest === undefined)
      throw registryError('MANIFEST_UNKNOWN', `Cannot find image ${name} ${reference}: the registry does not have it`);
    return manifest;
  }

  #blob(name: RepositoryPath, digest: Digest, options?: RequestOptions): Uint8Array {
    throwIfCancelled(options?.signal, `read ${name}`);
    const bytes = this.#get(name).blobs.get(digest);
    if (bytes === undefined)
      throw registryError('BLOB_UNKNOWN', `Cannot find blob ${digest} in ${name}: the registry does not have it`);
    return bytes;
  }
}

async function* chunks(bytes: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += 65536) {
    throwIfCancelled(signal, 'read a blob');
    yield bytes.subarray(at, at + 65536);
  }
}

function parsed(manifest: { readonly bytes: Uint8Array; readonly mediaType: string }, name: string): Manifest {
  try {
    return parseManifest(manifest.bytes, manifest.mediaType, `manifest ${name}`);
  } catch (cause) {
    if (!isKind(cause, 'invalid') && !isKind(cause, 'unsupported')) throw cause;
    throw new RegistryError(400, 'MANIFEST_INVALID', cause.message, { cause });
  }
}

/** What has to be in a repository before `manifest`. Layers that their publisher keeps elsewhere do not, nor does a subject. */
function referredTo(manifest: Manifest): { digest: Digest; isManifest: boolean }[] {
  if (manifest.kind === 'index') return manifest.manifests.map(({ digest }) => ({ digest, isManifest: true }));
  const here = (layer: Descriptor): boolean => !/nondistributable|foreign/.test(layer.mediaType);
  return [manifest.config, ...manifest.layers.filter(here)].map(({ digest }) => ({ digest, isManifest: false }));
}
