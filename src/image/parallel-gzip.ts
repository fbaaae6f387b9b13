import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { constants, crc32, deflateRaw } from 'node:zlib';
import { blocksOf } from './_blocks.ts';

const deflate = promisify(
  deflateRaw as (
    bytes: Uint8Array,
    options: { level: number; dictionary?: Uint8Array; finishFlush: number },
    done: (error: Error | null, result: Buffer) => void,
  ) => void,
);

const BLOCK_BYTES = 1024 * 1024;
/** How far back deflate looks. */
const WINDOW_BYTES = 32 * 1024;
/** No name, no time, "unknown" as system: equal contents give equal bytes. */
const HEADER = Buffer.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff);

export interface GzipOptions {
  /** 0 to 9; 6 unless stated. */
  readonly level?: number;
  /** Blocks that are compressed at a time; the number of CPUs unless stated. It does not change the result. */
  readonly parallel?: number;
}

/**
 * Compresses into one gzip member (RFC 1952), blocks of 1 MiB side by side on the threads of zlib, each with the end of the block before it as its dictionary. The result
 * depends on the contents and the level only. Memory is bounded by a few blocks for each CPU.
 */
export async function* parallelGzip(
  body: AsyncIterable<Uint8Array>,
  options: GzipOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  const { level = 6, parallel = availableParallelism() } = options;
  yield HEADER;
  const pending: Promise<Buffer>[] = [];
  let window: Uint8Array | undefined;
  let crc = 0;
  let bytes = 0;
  const start = (block: Uint8Array, isLast: boolean): void => {
    const result = deflate(block, {
      level,
      finishFlush: isLast ? constants.Z_FINISH : constants.Z_SYNC_FLUSH,
      ...(window === undefined ? {} : { dictionary: window }),
    });
    // It is awaited in its turn; until then a failure must not go unhandled.
    result.catch(() => {});
    pending.push(result);
    window = block.subarray(-WINDOW_BYTES);
    crc = crc32(block, crc);
    bytes += block.byteLength;
  };
  /** The block before the current one: only at the end it is known to be the last. */
  let waiting: Uint8Array | undefined;
  for await (const block of blocksOf(body, BLOCK_BYTES)) {
    if (waiting !== undefined) start(waiting, false);
    waiting = block;
    if (pending.length > parallel) yield await (pending.shift() as Promise<Buffer>); // not empty
  }
  start(waiting ?? new Uint8Array(0), true);
  for (const result of pending) yield await result;
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(bytes % 2 ** 32, 4);
  yield trailer;
}
