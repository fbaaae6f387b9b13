/** The distribution protocol as one interface, which client, server and memory all speak (distribution-spec, "Content Discovery" and "Pull"). */
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

/** A whole registry. Writing, deleting and listing join as interfaces of their own, which this one will extend. */
export interface Registry extends RegistryReader {}
