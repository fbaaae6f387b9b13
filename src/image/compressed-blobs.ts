import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { BlobIdentity } from '../registry/registry.ts';
import { digestHex, isDigest, type DiffId } from '../spec/mod.ts';
import type { LayerCompression } from './compress-layer.ts';

/**
 * Remembers what layers became when they were compressed here: equal tars give equal blobs, so a place that has such a blob need not be sent it, nor does it have to be made.
 * It may forget. What it says is only a hint to look for: the place is asked.
 */
export interface CompressedBlobs {
  find(diffId: DiffId, compression: LayerCompression): BlobIdentity | undefined;
  remember(diffId: DiffId, compression: LayerCompression, blob: BlobIdentity): void;
}

/** Changes when the same tar is no longer compressed to the same bytes. */
const GENERATION = 1;

/** CompressedBlobs in a directory, a small file for each. Several processes may use it. */
export function compressedBlobsIn(dir: string): CompressedBlobs {
  const pathOf = (diffId: DiffId, { format, level }: LayerCompression): string =>
    join(dir, `${digestHex(diffId)}-${format}-${level ?? 'default'}-${GENERATION}`);
  return {
    find(diffId, compression) {
      try {
        const [digest = '', size] = readFileSync(pathOf(diffId, compression), 'utf8').split(' ');
        const sizeBytes = Number(size);
        return isDigest(digest) && Number.isSafeInteger(sizeBytes) && sizeBytes > 0 ? { digest, sizeBytes } : undefined;
      } catch {
        return undefined;
      }
    },
    remember(diffId, compression, { digest, sizeBytes }) {
      try {
        mkdirSync(dir, { recursive: true, mode: 0o700 });
        const temp = join(dir, `.${randomUUID()}`);
        writeFileSync(temp, `${digest} ${sizeBytes}`, { mode: 0o600 });
        renameSync(temp, pathOf(diffId, compression));
      } catch {
        // It is forgotten: the next push makes the blob again.
      }
    },
  };
}
