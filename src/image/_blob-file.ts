import { randomUUID } from 'node:crypto';
import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';

/** A new file with all bytes of a stream, on the disk. Disposing deletes it, unless it was renamed. */
export interface BlobFile extends AsyncDisposable {
  readonly path: string;
  readonly sizeBytes: number;
}

/** What the names of our temporary files begin with: `.tare-tmp-`. */
export const TEMP_PREFIX = '.tare-tmp-';

/**
 * Writes a stream into a temporary file in `dir` and syncs it. Errors: `exhausted` for a full disk, `denied`, `cancelled` between two chunks; whatever `body` throws. Then the
 * file is gone.
 */
export async function writeBlobFile(
  dir: string,
  body: AsyncIterable<Uint8Array>,
  what: string,
  signal?: AbortSignal,
): Promise<BlobFile> {
  const path = join(dir, TEMP_PREFIX + randomUUID());
  const remove = async (): Promise<void> => unlink(path).catch(() => {});
  try {
    await using file = await open(path, 'wx', 0o644);
    let sizeBytes = 0;
    for await (const chunk of body) {
      if (signal?.aborted === true)
        throw new TareError('cancelled', `Cannot write ${what}: it was cancelled`, { cause: signal.reason });
      for (let rest = chunk; rest.byteLength > 0;) {
        const { bytesWritten } = await file.write(rest, 0, rest.byteLength, null);
        rest = rest.subarray(bytesWritten);
      }
      sizeBytes += chunk.byteLength;
    }
    await file.datasync();
    return { path, sizeBytes, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw writeError(error, what);
  }
}

/** Errors of node:fs as ours: `exhausted` for a full disk, `denied` where writing is not allowed, `not-found` for a missing directory. */
export function writeError(cause: unknown, what: string): unknown {
  if (cause instanceof TareError) return cause;
  const { code } = cause as NodeJS.ErrnoException;
  const fail = (kind: 'exhausted' | 'denied' | 'not-found' | 'failed-precondition', state: string): TareError =>
    new TareError(kind, `Cannot write ${what}: ${state}`, { cause });
  if (code === 'ENOSPC' || code === 'EDQUOT') return fail('exhausted', 'the disk is full');
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return fail('denied', `writing is not allowed (${code})`);
  if (code === 'ENOENT') return fail('not-found', 'its directory does not exist');
  if (code === 'ENOTDIR' || code === 'EISDIR' || code === 'EEXIST')
    return fail('failed-precondition', `something else is in its place (${code})`);
  return cause;
}
