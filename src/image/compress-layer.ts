import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import type { BlobIdentity } from '../registry/registry.ts';
import type { Digest, DigestAlgorithm } from '../spec/mod.ts';
import { blocksOf } from './_blocks.ts';
import { parallelGzip } from './parallel-gzip.ts';

/** A turn of the thread pool is dear: small files of a layer go to the encoder together. */
const BLOCK_BYTES = 1024 * 1024;

/** How new blobs are compressed. */
export interface LayerCompression {
  readonly format: 'gzip' | 'zstd' | 'none';
  /** The format's own: 0 to 9 for gzip (6 unless stated), 1 to 22 for zstd (3 unless stated). */
  readonly level?: number;
}

/** A blob in the making: its identity is known when its bytes have been read. */
export interface BlobInMaking {
  readonly body: AsyncIterable<Uint8Array>;
  finish(): BlobIdentity;
}

/** Compresses a layer's tar as it flows. Equal tars give equal blobs. */
export function compressLayer(tar: AsyncIterable<Uint8Array>, compression: LayerCompression): BlobInMaking {
  const { format, level } = compression;
  if (format === 'none') return hashed(tar);
  if (format === 'gzip') return hashed(parallelGzip(tar, level === undefined ? {} : { level }));
  return hashed(zstd(tar, level ?? 3));
}

/** Learns the digest and size of bytes that flow by. */
export function hashed(bytes: AsyncIterable<Uint8Array>, algorithm: DigestAlgorithm = 'sha256'): BlobInMaking {
  const hash = createHash(algorithm);
  let sizeBytes = 0;
  let identity: BlobIdentity | undefined;
  const body = async function* (): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of bytes) {
      hash.update(chunk);
      sizeBytes += chunk.byteLength;
      yield chunk;
    }
  };
  return {
    body: body(),
    finish: () => (identity ??= { digest: `${algorithm}:${hash.digest('hex')}` as Digest, sizeBytes }),
  };
}

async function* zstd(tar: AsyncIterable<Uint8Array>, level: number): AsyncGenerator<Uint8Array, void, void> {
  const encoder = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
    chunkSize: 256 * 1024,
  });
  const feeding = pipeline(blocksOf(tar, BLOCK_BYTES), encoder);
  // Its failure reaches us as an error of `encoder`.
  feeding.catch(() => {});
  try {
    for await (const chunk of encoder) yield chunk as Uint8Array;
    await feeding;
  } finally {
    encoder.destroy();
    await feeding.catch(() => {});
  }
}
