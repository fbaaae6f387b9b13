/** What a pull needs of a store: `Store` of src/storage has it, and MemoryImageStore. */
import type { DiffId, Digest } from '../spec/mod.ts';

/** A layer whose tar is in staging, complete, and not visible yet. Disposing deletes it; committing an image with it takes it over. */
export interface StagedLayer extends AsyncDisposable {
  /** The digest of the tar that was written. */
  readonly diffId: DiffId;
  /** Bytes of that tar. */
  readonly sizeBytes: number;
}

/** Takes one layer's tar. Disposing abandons it; after `finish` it does nothing. */
export interface LayerWriter<Staged extends StagedLayer> extends AsyncDisposable {
  /** The next bytes. Resolves when more may come. The bytes are not kept after that. */
  write(tarBytes: Uint8Array): Promise<void>;
  finish(): Promise<Staged>;
}

/** Where a layer's tar comes from. */
export interface LayerOrigin {
  readonly compressedDigest: Digest;
  readonly compressedSizeBytes: number;
  /** Its ending says how the blob is really compressed, whatever the manifest says. */
  readonly mediaType: string;
}

export interface ImageCommit<Staged extends StagedLayer> {
  /** Base first: staged, or in the store under the chain of diffIds that ends here. */
  readonly layers: readonly (Staged | { readonly diffId: DiffId })[];
  /** Bytes as they were verified. */
  readonly config: Uint8Array;
  readonly manifest: Uint8Array;
  /** The index that the manifest was chosen from. */
  readonly indexManifest?: Uint8Array;
  /** Full references. A name that another image has moves to this one. */
  readonly names: readonly string[];
}

export interface ImageStore<Staged extends StagedLayer, Stored> {
  /** True when the layers with these diffIds, base first, are there and complete, as one chain. */
  hasLayer(diffIds: readonly DiffId[]): Promise<boolean>;
  stageLayer(origin: LayerOrigin): Promise<LayerWriter<Staged>>;
  /** All or nothing becomes visible. Staged layers are used up, also by a failure. Errors: `failed-precondition` when a layer that was there is gone. */
  commitImage(commit: ImageCommit<Staged>, options?: { readonly signal?: AbortSignal }): Promise<Stored>;
}
