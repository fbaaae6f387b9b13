/** What a pull needs of a store. `src/storage` supplies it; the tests of this folder have one in memory. */
import type { DiffId, Digest } from '../spec/mod.ts';

/** A layer whose tar is in staging, complete, and not visible yet. */
export interface StagedLayer {
  /** The digest of the tar that was written. */
  readonly diffId: DiffId;
  /** Bytes of that tar. */
  readonly sizeBytes: number;
}

/** Takes one layer's tar. Disposing abandons it, also after `finish`, until an image with it is committed; then disposing does nothing. */
export interface LayerWriter<Staged extends StagedLayer> extends AsyncDisposable {
  /** The next bytes. Resolves when more may come. The bytes are not kept after that. */
  write(tarBytes: Uint8Array): Promise<void>;
  finish(): Promise<Staged>;
}

/** A layer of an image to commit, base first. */
export interface CommitLayer<Staged extends StagedLayer> {
  readonly diffId: DiffId;
  readonly compressedDigest: Digest;
  readonly compressedSizeBytes: number;
  readonly mediaType: string;
  /** Absent: the store has it, under the chain of diffIds that ends here. */
  readonly staged?: Staged;
}

export interface CommitImage<Staged extends StagedLayer> {
  readonly layers: readonly CommitLayer<Staged>[];
  readonly config: { readonly bytes: Uint8Array; readonly digest: Digest };
  readonly manifest: { readonly bytes: Uint8Array; readonly digest: Digest };
  /** The index that the image was chosen from. */
  readonly index?: { readonly bytes: Uint8Array; readonly digest: Digest };
  /** Full references. A name that another image has moves to this one. */
  readonly names: readonly string[];
}

export interface ImageStore<Staged extends StagedLayer, Record> {
  /** True when the layer with this chain of diffIds, base first, is there and complete. */
  hasLayer(chain: readonly DiffId[]): boolean | Promise<boolean>;
  stageLayer(layer: {
    readonly compressedDigest: Digest;
    readonly mediaType: string;
  }): LayerWriter<Staged> | Promise<LayerWriter<Staged>>;
  /** All or nothing becomes visible. */
  commitImage(image: CommitImage<Staged>): Promise<Record>;
}
