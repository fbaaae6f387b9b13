import { read } from 'node:fs';
import { promisify } from 'node:util';
import { sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { type FdLike, numberOf } from './fd.ts';

const readSome = promisify(read);
const CHUNK_BYTES = 256 * 1024;

/** The bytes that come through a pipe. Errors: `cancelled` between two reads; by errno. */
export async function* streamOf(fd: FdLike, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
  for (;;) {
    if (signal?.aborted === true)
      throw new TareError('cancelled', 'Cannot read standard input: it was cancelled', { cause: signal.reason });
    const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    const bytes = await readNext(fd, buffer);
    if (bytes === 0) return;
    if (bytes > 0) yield buffer.subarray(0, bytes);
  }
}

/** The number of bytes read, 0 at the end; -1 when somebody made the pipe non-blocking and nothing is in it yet. */
async function readNext(fd: FdLike, buffer: Buffer): Promise<number> {
  try {
    return (await readSome(numberOf(fd), buffer, 0, buffer.length, null)).bytesRead;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    await sleep(5);
    return -1;
  }
}
