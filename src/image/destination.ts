import type { BlobIdentity } from '../registry/registry.ts';
import type { Digest, Reference } from '../spec/mod.ts';

export interface PutOptions {
  readonly signal?: AbortSignal;
}

export interface HasBlobOptions extends PutOptions {
  /** Other repositories that may have the blob: a registry is asked to share it. */
  readonly origins?: readonly Reference[];
}

/** A blob to store, by the bytes that are stored. */
export interface BlobToPut extends BlobIdentity {
  readonly kind: 'config' | 'layer';
}

/** A manifest or index to store. */
export interface ManifestToPut {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** Of `bytes`. */
  readonly digest: Digest;
}

/** What a place can hold. */
export interface DestinationTraits {
  /** Layers as they come, or as plain tars under their diffIds only. */
  readonly layers: 'any' | 'plain';
  /** Manifests as they come, or none of its own: it is told Docker's and keeps what it says. */
  readonly manifests: 'any' | 'docker';
  /** Several images behind one index. */
  readonly indexes: boolean;
}

/**
 * A place that takes one image (or an index with several): first its blobs, then the manifests of an index, then the top manifest, with which it becomes visible.
 *
 * Nothing can be found by a name before `commit`; disposing without it abandons what was written, and a kill leaves at most temporary files and blobs that nothing refers to.
 * The bytes it is given have been checked by who gives them: a body that is wrong throws before its end, and nothing of it is kept.
 */
export interface ImageDestination extends AsyncDisposable {
  /** For people: `docker://…`, `oci:…`. */
  readonly name: string;
  readonly takes: DestinationTraits;
  /** Where blobs can be shared from later; of a registry only. */
  readonly repository?: Reference;
  /** True when the blob is there already, or was made to be without sending it. */
  hasBlob(blob: BlobIdentity, options?: HasBlobOptions): Promise<boolean>;
  /** Stores a blob. `open` may be called again, at an offset, after a transfer that broke. */
  putBlob(blob: BlobToPut, open: (offset: number) => AsyncIterable<Uint8Array>, options?: PutOptions): Promise<void>;
  /** Stores a layer whose identity is known when `body` has ended: `finish` is called then. */
  streamBlob(body: AsyncIterable<Uint8Array>, finish: () => BlobIdentity, options?: PutOptions): Promise<void>;
  /** Stores a manifest that an index refers to. */
  putManifest(manifest: ManifestToPut, options?: PutOptions): Promise<void>;
  /** Stores the top manifest and makes the image visible, in one step. Then only disposing is left. */
  commit(top: ManifestToPut, options?: PutOptions): Promise<void>;
}
