/** zstd as layers use it: any number of frames, skippable ones anywhere (zstd:chunked). RFC 8878. */
import { pipeline } from 'node:stream/promises';
import { constants, createZstdDecompress, zstdDecompressSync } from 'node:zlib';
import { TareError, messageOf } from '../base/errors.ts';
import { MAX_BLOCK_BYTES, MAX_WINDOW_LOG, ZstdFrames, type FramePiece } from './_zstd-frames.ts';

/** A frame of at most so many blocks unpacks to at most 1 MiB: it is unpacked in one call. zstd:chunked layers are mostly such. */
const SMALL_BLOCKS = 8;
const CHUNK_BYTES = 256 * 1024;
const options = { params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG }, chunkSize: CHUNK_BYTES };

/** How frames reach the decoder: all in one stream, or each for itself. */
export type ZstdMode = 'stream' | 'frames';

/** Streams of Node before 26.10 lose frames when a chunk has the end of one and the beginning of another. */
const standardMode: ZstdMode = isAtLeast(process.versions.node, 26, 10) ? 'stream' : 'frames';

/**
 * Unpacks zstd data with bounded memory. Frames are told apart here, since no decoder of Node minds what follows the last frame, and older ones accept a truncated one: data that
 * is not whole frames from the first to the last byte is refused.
 *
 * Errors: `invalid` for damaged, truncated and trailing data, and for a frame that needs a window above 128 MiB; `unsupported` for a dictionary; whatever `body` throws.
 */
export async function* unzstd(
  body: AsyncIterable<Uint8Array>,
  what: string,
  mode: ZstdMode = standardMode,
): AsyncGenerator<Uint8Array, void, void> {
  const pieces = framePieces(body, new ZstdFrames(what, mode === 'frames'));
  try {
    if (mode === 'stream') yield* decoded(pieces);
    else yield* frameByFrame(pieces);
  } catch (error) {
    if (!isZlibError(error)) throw error;
    throw new TareError('invalid', `Cannot unpack ${what}: its zstd data is damaged: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    await pieces.return();
  }
}

async function* framePieces(
  body: AsyncIterable<Uint8Array>,
  frames: ZstdFrames,
): AsyncGenerator<FramePiece, void, void> {
  for await (const chunk of body) yield* frames.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  frames.end();
}

async function* frameByFrame(pieces: AsyncGenerator<FramePiece, void, void>): AsyncGenerator<Uint8Array, void, void> {
  let first: FramePiece[] = [];
  let blocks = 0;
  for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) {
    first.push(next.value);
    blocks += next.value.blocks;
    if (blocks > SMALL_BLOCKS) yield* decoded(oneFrame(first, pieces));
    else if (next.value.isEnd) {
      const frame = Buffer.concat(first.map(({ bytes }) => bytes));
      const maxOutputLength = SMALL_BLOCKS * MAX_BLOCK_BYTES;
      // Its buffer is what a small frame costs most.
      yield zstdDecompressSync(frame, { ...options, chunkSize: 64 * 1024, maxOutputLength });
    } else continue;
    [first, blocks] = [[], 0];
  }
}

/** The rest of a frame, without closing what comes after it. */
async function* oneFrame(
  first: readonly FramePiece[],
  rest: AsyncIterator<FramePiece, void>,
): AsyncGenerator<FramePiece, void, void> {
  yield* first;
  if (first.at(-1)?.isEnd === true) return;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) {
    yield next.value;
    if (next.value.isEnd) return;
  }
}

async function* decoded(pieces: AsyncIterable<FramePiece>): AsyncGenerator<Uint8Array, void, void> {
  const decoder = createZstdDecompress(options);
  let failure: { readonly error: unknown } | undefined;
  let isEmpty = true;
  const input = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const { bytes } of pieces) {
        isEmpty = false;
        yield bytes;
      }
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
    if (failure !== undefined) throw failure.error;
    // Only skippable frames: nothing to decode is no mistake.
    if (!isEmpty) throw error;
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

function isAtLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number);
  return a > major || (a === major && b >= minor);
}
