import { join } from 'node:path';
import type { BlobDirectory } from '../image/blob-directory.ts';
import type { Store } from '../storage/mod.ts';
import type { Engine } from './engine.ts';

/** The compressed blobs that pulls have kept. */
export async function keptBlobs(engine: Engine): Promise<BlobDirectory> {
  const { BlobDirectory } = await import('../image/blob-directory.ts');
  return new BlobDirectory(join(engine.cacheDir, 'blobs'));
}

/** Deletes the kept blobs of layers that are no longer in the store, whoever removed them. */
export async function pruneBlobs(engine: Engine, store: Store): Promise<void> {
  const wanted = new Set(store.layers().flatMap(({ compressedDigest }) => compressedDigest ?? []));
  (await keptBlobs(engine)).prune(wanted);
}
