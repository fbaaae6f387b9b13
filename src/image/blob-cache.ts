import type { Digest } from '../spec/mod.ts';

/** A blob as it was fetched. */
export interface CachedBlob {
  readonly sizeBytes: number;
  /** From `offset`, 0 unless stated. What is read is checked by its reader. */
  read(offset?: number): AsyncIterable<Uint8Array>;
}

/** Keeps the compressed layers of pulled images for a while, so that an image that goes back to a registry is the same there, byte for byte. */
export interface BlobCache {
  find(digest: Digest): CachedBlob | undefined;
}

/** A BlobCache in memory. */
export class MemoryBlobCache implements BlobCache {
  readonly #blobs = new Map<Digest, Uint8Array>();

  add(digest: Digest, bytes: Uint8Array): void {
    this.#blobs.set(digest, bytes);
  }

  find(digest: Digest): CachedBlob | undefined {
    const bytes = this.#blobs.get(digest);
    if (bytes === undefined) return undefined;
    return {
      sizeBytes: bytes.byteLength,
      async *read(offset = 0) {
        yield bytes.subarray(offset);
      },
    };
  }
}
