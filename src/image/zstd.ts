/** zstd as layers use it: any number of frames, skippable ones anywhere (zstd:chunked). RFC 8878. */
import { pipeline } from 'node:stream/promises';
import { constants, createZstdDecompress, zstdDecompressSync } from 'node:zlib';
import { TareError, messageOf } from '../base/errors.ts';
import { ByteFeed } from './_byte-feed.ts';

const FRAME_MAGIC = 0xfd2fb528;
/** The lowest of 16. */
const SKIPPABLE_MAGIC = 0x184d2a50;
/** No decoder has to give a frame more memory than 8 MiB; tools write up to 128 MiB. */
const MAX_WINDOW_LOG = 27;
const MAX_BLOCK_BYTES = 128 * 1024;
/** A frame of at most so many blocks unpacks to at most 1 MiB: it is unpacked in one call. zstd:chunked layers are mostly such. */
const SMALL_BLOCKS = 8;
const CHUNK_BYTES = 256 * 1024;

const options = { params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG }, chunkSize: CHUNK_BYTES };

/**
 * Unpacks zstd data with bounded memory. Frames are told apart here and given to the decoder one by one, which in Node 24 drops frames, accepts a truncated one, and
 * in every version ignores what follows: here data that is not whole frames from the first to the last byte is refused.
 *
 * Errors: `invalid` for damaged, truncated and trailing data, and for a frame that needs a window above 128 MiB; `unsupported` for a dictionary; whatever `body` throws.
 */
export async function* unzstd(body: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<Uint8Array, void, void> {
  const refuse = (state: string, cause?: unknown): TareError =>
    new TareError('invalid', `Cannot unpack ${what}: ${state}`, cause === undefined ? {} : { cause });
  await using feed = new ByteFeed(body, () => refuse('its zstd data is cut short'));
  while (!(await feed.ended())) {
    const magic = (await feed.take(4)).readUInt32LE();
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      await feed.skip((await feed.take(4)).readUInt32LE());
      continue;
    }
    if (magic !== FRAME_MAGIC) throw refuse('what is no zstd frame stands among its zstd data');
    const frame = frameParts(feed, refuse, what);
    const first: Uint8Array[] = [];
    let blocks = 0;
    let more = true;
    while (more && blocks <= SMALL_BLOCKS) {
      const next = await frame.next();
      if (next.done === true) more = false;
      else {
        first.push(next.value.bytes);
        if (next.value.blockStart) blocks++;
      }
    }
    try {
      if (more) yield* unpackFrame(joined(first, frame));
      else {
        // Its buffer is what a small frame costs most: it gets what it needs.
        const chunkSize = Math.max(64, Math.min(blocks * MAX_BLOCK_BYTES, 64 * 1024));
        const maxOutputLength = SMALL_BLOCKS * MAX_BLOCK_BYTES;
        yield zstdDecompressSync(Buffer.concat(first), { ...options, chunkSize, maxOutputLength });
      }
    } catch (error) {
      if (isZlibError(error)) throw refuse(`its zstd data is damaged: ${messageOf(error)}`, error);
      throw error;
    }
  }
}

interface Part {
  readonly bytes: Uint8Array;
  /** The header of a block. */
  readonly blockStart: boolean;
}

/** The bytes of one frame whose magic was read, its end found by its block headers. */
async function* frameParts(
  feed: ByteFeed,
  refuse: (state: string) => TareError,
  what: string,
): AsyncGenerator<Part, void, void> {
  const part = (bytes: Uint8Array, blockStart = false): Part => ({ bytes, blockStart });
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(FRAME_MAGIC);
  yield part(magic);
  const descriptor = (await feed.take(1))[0] ?? 0;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const rest = await feed.take((isSingleSegment ? 0 : 1) + dictionaryBytes + sizeBytes);
  if (dictionaryBytes > 0 && rest.subarray(isSingleSegment ? 0 : 1).readUIntLE(0, dictionaryBytes) !== 0)
    throw new TareError('unsupported', `Cannot unpack ${what}: its zstd data needs a dictionary`);
  const window = isSingleSegment ? contentSize(rest.subarray(dictionaryBytes)) : windowSize(rest[0] ?? 0);
  if (window > 2 ** MAX_WINDOW_LOG)
    throw refuse(`its zstd data needs a window of ${window} bytes, more than ${2 ** MAX_WINDOW_LOG}`);
  yield part(Buffer.concat([Buffer.of(descriptor), rest]));
  for (let last = false; !last;) {
    const header = await feed.take(3);
    const bits = header.readUIntLE(0, 3);
    last = (bits & 1) !== 0;
    const type = (bits >> 1) & 3;
    const length = bits >> 3;
    if (type === 3 || length > MAX_BLOCK_BYTES) throw refuse('its zstd data is damaged: a block of no known form');
    yield part(header, true);
    for await (const bytes of feed.pieces(type === 1 ? 1 : length)) yield part(bytes);
  }
  if ((descriptor & 4) !== 0) yield part(await feed.take(4));
}

function windowSize(byte: number): number {
  const base = 2 ** (10 + (byte >> 3));
  return base + (base / 8) * (byte & 7);
}

function contentSize(field: Buffer): number {
  if (field.length === 8) return Number(field.readBigUInt64LE());
  return field.readUIntLE(0, field.length) + (field.length === 2 ? 256 : 0);
}

async function* joined(first: readonly Uint8Array[], rest: AsyncIterable<Part>): AsyncGenerator<Uint8Array> {
  yield* first;
  for await (const { bytes } of rest) yield bytes;
}

async function* unpackFrame(frame: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  const decoder = createZstdDecompress(options);
  let failure: { readonly error: unknown } | undefined;
  const input = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* frame;
    } catch (error) {
      failure = { error };
      throw error;
    }
  };
  const feeding = pipeline(input(), decoder);
  // Its failure reaches us as an error of `decoder`.
  feeding.catch(() => {});
  try {
    for await (const chunk of decoder) yield chunk as Uint8Array;
    await feeding;
  } catch (error) {
    throw failure === undefined ? error : failure.error;
  } finally {
    decoder.destroy();
    await feeding.catch(() => {});
  }
}

/** What the decoder says of data it cannot read. */
function isZlibError(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' && (/^(?:ZSTD|Z)_/.test(code) || code === 'ERR_BUFFER_TOO_LARGE');
}
