/** The distribution protocol as one interface, which client, server and memory all speak (distribution-spec). */
import type { Digest, RepositoryPath, Tag } from '../spec/mod.ts';

export interface RequestOptions {
  readonly signal?: AbortSignal;
}

export interface BlobOptions extends RequestOptions {
  /** The first byte wanted, 0 unless stated. At most the blob's size. */
  readonly offset?: number;
}

/** A manifest or index as it is stored: its digest is that of `bytes`. */
export interface ManifestContent {
  readonly bytes: Uint8Array;
  /** As the registry states it, without parameters; the document may say otherwise (see `parseManifest`). */
  readonly mediaType: string;
  readonly digest: Digest;
}

/** What HEAD tells of a manifest or blob. */
export interface ContentInfo {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** A blob on its way. Leaving the iteration early gives the connection up. */
export interface BlobContent {
  /** Of the whole blob, also when reading starts at an offset; undefined where the registry does not say. */
  readonly sizeBytes: number | undefined;
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * Reading from a registry. Errors: RegistryError by the spec's codes (`not-found` with NAME_UNKNOWN, MANIFEST_UNKNOWN or BLOB_UNKNOWN; `denied` with
 * UNAUTHORIZED or DENIED); `unavailable` when it cannot be reached; `cancelled`.
 *
 * A manifest always comes whole and hashes to the digest it was asked for by. A blob's body is as sent: `verified` checks it, and an ImageSource lets nobody skip that.
 */
export interface RegistryReader {
  /** Errors: also `invalid` when the bytes have another digest than asked for or announced, or are too many. */
  getManifest(repository: RepositoryPath, reference: Tag | Digest, options?: RequestOptions): Promise<ManifestContent>;
  headManifest(repository: RepositoryPath, reference: Tag | Digest, options?: RequestOptions): Promise<ContentInfo>;
  getBlob(repository: RepositoryPath, digest: Digest, options?: BlobOptions): Promise<BlobContent>;
  headBlob(repository: RepositoryPath, digest: Digest, options?: RequestOptions): Promise<ContentInfo>;
  /** In the registry's order, mostly alphabetical; pages are fetched as they are needed. */
  tags(repository: RepositoryPath, options?: RequestOptions): AsyncIterable<Tag>;
}

/** What a blob is: the digest and size of its bytes as they are stored. */
export interface BlobIdentity {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/**
 * Writing to a registry (distribution-spec, "Push" and "Content Management"). A repository comes to be with the first write to it.
 *
 * Errors: as RegistryReader; `unsupported` when the registry takes no writes, `exhausted` when something is larger than it takes.
 */
export interface RegistryWriter {
  /** Makes a blob of another repository of this registry appear in `repository` without sending it; false when the registry does not (it then has to be sent). */
  mountBlob(
    repository: RepositoryPath,
    digest: Digest,
    from: RepositoryPath,
    options?: RequestOptions,
  ): Promise<boolean>;
  /**
   * Sends a blob. `open` is called again when the connection breaks and the upload has to start over or go on at an offset (`open(offset)`). Idempotent.
   * Errors: also `invalid` when the bytes are not those of the digest or size.
   */
  putBlob(
    repository: RepositoryPath,
    blob: BlobIdentity,
    open: (offset: number) => AsyncIterable<Uint8Array>,
    options?: RequestOptions,
  ): Promise<void>;
  /**
   * Sends a blob whose digest is only known at its end (compressed on the way): `body` yields the bytes; `finish` is called after the last byte and names what they
   * were. Not restartable. Errors: as `putBlob`; `unavailable` when the connection breaks.
   */
  streamBlob(
    repository: RepositoryPath,
    body: AsyncIterable<Uint8Array>,
    finish: () => BlobIdentity,
    options?: RequestOptions,
  ): Promise<void>;
  /** Stores a manifest or index under a tag or its digest. Errors: `failed-precondition` (MANIFEST_BLOB_UNKNOWN) when it refers to what is not there. */
  putManifest(
    repository: RepositoryPath,
    reference: Tag | Digest,
    manifest: { readonly bytes: Uint8Array; readonly mediaType: string },
    options?: RequestOptions,
  ): Promise<Digest>;
  /** Deletes a manifest with all tags that point at it, or only a tag. Errors: also `unsupported`, which many registries say to tags. */
  deleteManifest(repository: RepositoryPath, reference: Tag | Digest, options?: RequestOptions): Promise<void>;
}

/** A whole registry. */
export interface Registry extends RegistryReader, RegistryWriter {}
