import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { TareError, messageOf } from '../base/errors.ts';

const CHUNK_BYTES = 256 * 1024;

/** The first bytes of the formats that layers come in, and of those that tools have tried. */
const formats = [
  { name: 'gzip', magic: [0x1f, 0x8b] },
  { name: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd] },
  // A skippable frame: 16 first bytes mean one.
  ...Array.from({ length: 16 }, (_, low) => ({ name: 'zstd' as const, magic: [0x50 + low, 0x2a, 0x4d, 0x18] })),
  { name: 'bzip2', magic: [0x42, 0x5a, 0x68] },
  { name: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a] },
] as const;

/** How a layer is compressed, by its first bytes: what media types say of it is often wrong. `none` is taken for a plain tar. */
export type Compression = (typeof formats)[number]['name'] | 'none';

/** Tells the format from the first bytes; five are enough. */
export function compressionOf(start: Uint8Array): Compression {
  return formats.find(({ magic }) => magic.every((byte, index) => start[index] === byte))?.name ?? 'none';
}

/** A layer's blob, its format known. */
export interface LayerTar extends AsyncDisposable {
  readonly compression: Compression;
  /**
   * The tar, decompressed as it flows, with bounded memory. Errors: `invalid` for damaged data; `unsupported` for a format that is not unpacked; whatever the blob throws.
   */
  readonly tar: AsyncIterable<Uint8Array>;
}

/**
 * Reads the first bytes of a layer and makes its tar of the whole. gzip may have several members; what is no member behind them is refused, zeros too: tools differ
 * in what they make of it. Disposing closes the blob.
 */
export async function openLayerTar(body: AsyncIterable<Uint8Array>, what: string): Promise<LayerTar> {
  const chunks = body[Symbol.asyncIterator]();
  const [start, first] = await firstBytes(chunks);
  const compression = compressionOf(start);
  return {
    compression,
    tar: unpacked(compression, joined(first, chunks), what),
    async [Symbol.asyncDispose]() {
      await chunks.return?.();
    },
  };
}

async function* unpacked(
  compression: Compression,
  body: AsyncIterable<Uint8Array>,
  what: string,
): AsyncGenerator<Uint8Array, void, void> {
  if (compression === 'none') yield* body;
  else if (compression === 'gzip') yield* gunzipped(body, what);
  else if (compression === 'zstd') yield* (await import('./zstd.ts')).unzstd(body, what);
  else throw new TareError('unsupported', `Cannot unpack ${what}: ${compression} is not supported`);
}

/** Reads until the format can be told. */
async function firstBytes(chunks: AsyncIterator<Uint8Array>): Promise<[start: Uint8Array, read: Uint8Array[]]> {
  const read: Uint8Array[] = [];
  let bytes = 0;
  while (bytes < 5) {
    const next = await chunks.next();
    if (next.done === true) break;
    read.push(next.value);
    bytes += next.value.byteLength;
  }
  return [read.length === 1 && read[0] ? read[0] : Buffer.concat(read), read];
}

async function* joined(
  first: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  yield* first;
  yield* { [Symbol.asyncIterator]: () => rest };
}

async function* gunzipped(body: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<Uint8Array, void, void> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  let given = 0;
  let failure: unknown;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body) {
        given += chunk.byteLength;
        yield chunk;
      }
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  const feeding = pipeline(counted(), gunzip);
  // Its failure reaches us as an error of `gunzip`.
  feeding.catch(() => {});
  try {
    for await (const chunk of gunzip) yield chunk as Uint8Array;
    await feeding;
  } catch (error) {
    if (failure instanceof Error) throw failure;
    throw new TareError('invalid', `Cannot unpack ${what}: its gzip data is damaged: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    gunzip.destroy();
    await feeding.catch(() => {});
  }
  if (gunzip.bytesWritten !== given) {
    throw new TareError(
      'invalid',
      `Cannot unpack ${what}: ${given - gunzip.bytesWritten} bytes follow the end of its gzip data`,
    );
  }
}
