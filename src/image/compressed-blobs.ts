import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { BlobIdentity } from '../registry/registry.ts';
import { digestHex, isDigest, parseReference, repositoryName, type DiffId, type Reference } from '../spec/mod.ts';
import type { LayerCompression } from './compress-layer.ts';

/** What a layer became, and where it was put. */
export interface CompressedBlob extends BlobIdentity {
  /** Repositories, newest first. */
  readonly origins: readonly Reference[];
}

/**
 * Remembers what layers became when they were compressed here: equal tars give equal blobs, so a place that has such a blob need not be sent it, nor does it have to be made.
 * It may forget. What it says is only a hint to look for: the place is asked.
 */
export interface CompressedBlobs {
  find(diffId: DiffId, compression: LayerCompression): CompressedBlob | undefined;
  /** `repository`: where it is now, when that is a registry. */
  remember(diffId: DiffId, compression: LayerCompression, blob: BlobIdentity, repository: Reference | undefined): void;
}

/** Changes when the same tar is no longer compressed to the same bytes. */
const GENERATION = 1;
const MAX_ORIGINS = 8;

/** CompressedBlobs in a directory, a small file for each: digest, size and repositories. Several processes may use it. */
export function compressedBlobsIn(dir: string): CompressedBlobs {
  const pathOf = (diffId: DiffId, { format, level }: LayerCompression): string =>
    join(dir, `${digestHex(diffId)}-${format}-${level ?? 'default'}-${GENERATION}`);
  const find: CompressedBlobs['find'] = (diffId, compression) => {
    try {
      const [digest = '', size, ...repositories] = readFileSync(pathOf(diffId, compression), 'utf8').split(' ');
      const sizeBytes = Number(size);
      if (!isDigest(digest) || !Number.isSafeInteger(sizeBytes) || sizeBytes <= 0) return undefined;
      return { digest, sizeBytes, origins: repositories.slice(0, MAX_ORIGINS).map(parseReference) };
    } catch {
      return undefined;
    }
  };
  return {
    find,
    remember(diffId, compression, { digest, sizeBytes }, repository) {
      const before = find(diffId, compression);
      const known = before?.digest === digest ? before.origins.map(repositoryName) : [];
      const names = new Set([...(repository === undefined ? [] : [repositoryName(repository)]), ...known]);
      if (before?.digest === digest && names.size === known.length) return;
      try {
        mkdirSync(dir, { recursive: true, mode: 0o700 });
        const temp = join(dir, `.${randomUUID()}`);
        const text = [digest, sizeBytes, ...[...names].slice(0, MAX_ORIGINS)].join(' ');
        writeFileSync(temp, text, { mode: 0o600 });
        renameSync(temp, pathOf(diffId, compression));
      } catch {
        // It is forgotten: the next push makes the blob again.
      }
    },
  };
}
