import { join } from 'node:path';
import type { BlobDirectory } from '../image/blob-directory.ts';
import type { Store } from '../storage/mod.ts';
import type { Engine } from './engine.ts';

/** The compressed blobs that pulls have kept. */
export async function keptBlobs(engine: Engine): Promise<BlobDirectory> {
  const { BlobDirectory } = await import('../image/blob-directory.ts');
  return new BlobDirectory(join(engine.cacheDir, 'blobs'));
}

/**
 * Runs a pull that keeps the blobs that come by, when the engine's user wants that. On a full disk what is kept only for a later push gives way to what is wanted now: all of it is
 * deleted, and the pull gets a second try without keeping.
 */
export async function keepingBlobs<T>(
  engine: Engine,
  pull: (keep: { readonly keep?: BlobDirectory }) => Promise<T>,
): Promise<T> {
  const blobs = await keptBlobs(engine);
  try {
    return await pull(engine.keepBlobs ? { keep: blobs } : {});
  } catch (error) {
    if (!isFullDisk(error) || blobs.prune() === 0) throw error;
    return await pull({});
  }
}

/** Not what a cap refuses, a bomb for one: that is as large the second time. */
function isFullDisk(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if ('code' in cause && (cause.code === 'ENOSPC' || cause.code === 'EDQUOT')) return true;
  return false;
}

/** Deletes the kept blobs of layers that are no longer in the store, whoever removed them. */
export async function pruneBlobs(engine: Engine, store: Store): Promise<void> {
  const wanted = new Set(store.layers().flatMap(({ compressedDigest }) => compressedDigest ?? []));
  (await keptBlobs(engine)).prune(wanted);
}
