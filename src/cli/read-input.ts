import { streamOf } from '../sys/read-stream.ts';
import type { FdLike } from '../sys/fd.ts';

/** All that can be read, also from a pipe that somebody made non-blocking; undefined when it is more than `maxBytes`. Errors: by errno. */
export async function readInput(fd: FdLike, maxBytes: number): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of streamOf(fd)) {
    length += chunk.length;
    if (length > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
