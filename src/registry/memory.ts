import { mediaTypes, isDigest, type Digest, type RepositoryPath, type Tag } from '../spec/mod.ts';
import { throwIfCancelled } from './_cancel.ts';
import { registryError } from './error.ts';
import type { BlobContent, BlobOptions, ContentInfo, ManifestContent, Registry, RequestOptions } from './registry.ts';
import { digestOf } from './verified.ts';

interface Repository {
  readonly blobs: Map<Digest, Uint8Array>;
  readonly manifests: Map<Digest, ManifestContent>;
  readonly tags: Map<Tag, Digest>;
}

/** A registry in memory: complete in behaviour, gone with the process. Bytes are kept as given, not copied. */
export class MemoryRegistry implements Registry {
  readonly #repositories = new Map<RepositoryPath, Repository>();

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
