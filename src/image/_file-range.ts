import { read } from 'node:fs';
import { promisify } from 'node:util';
import { TareError } from '../base/errors.ts';

const readAt = promisify(read);
const CHUNK_BYTES = 256 * 1024;

/** The bytes from `offset` to `end` of an open file, in fresh buffers. Errors: `invalid` when the file ends before. */
export async function* fileRange(
  fd: number,
  offset: number,
  end: number,
  what: string,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  for (let at = offset; at < end;) {
    if (signal?.aborted === true)
      throw new TareError('cancelled', `Cannot read ${what}: it was cancelled`, { cause: signal.reason });
    const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, end - at));
    const { bytesRead } = await readAt(fd, buffer, 0, buffer.length, at);
    if (bytesRead === 0) throw new TareError('invalid', `Cannot read ${what}: it ends at byte ${at}`);
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}
