import { createHash } from 'node:crypto';
import { TareError } from '../base/errors.ts';
import { digestAlgorithm, digestHex, type Digest } from '../spec/mod.ts';

/** What bytes have to be. */
export interface Expected {
  readonly digest: Digest;
  /** Bytes, exactly. */
  readonly size: number;
}

/**
 * The bytes of `body`, checked as they flow: the first byte too many, an end too early, and a digest that differs each end the iteration with an error. The last
 * chunk is held back until the digest is known to be right, so that a consumer who saw the end saw the right bytes.
 *
 * Errors: `invalid`, naming both digests; whatever `body` throws.
 */
export async function* verified(
  body: AsyncIterable<Uint8Array>,
  expected: Expected,
  what: string,
): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash(digestAlgorithm(expected.digest));
  let bytes = 0;
  let held: Uint8Array | undefined;
  for await (const chunk of body) {
    if (chunk.byteLength === 0) continue;
    bytes += chunk.byteLength;
    if (bytes > expected.size) throw wrong(what, `it goes on after the ${expected.size} bytes of ${expected.digest}`);
    hash.update(chunk);
    if (held !== undefined) yield held;
    held = chunk;
  }
  if (bytes < expected.size)
    throw wrong(what, `it ends after ${bytes} of the ${expected.size} bytes of ${expected.digest}`);
  const hex = hash.digest('hex');
  if (hex !== digestHex(expected.digest)) {
    throw wrong(what, `its digest is ${digestAlgorithm(expected.digest)}:${hex}, not ${expected.digest} as asked for`);
  }
  if (held !== undefined) yield held;
}

/** Throws unless `bytes` hash to `digest`. Errors: `invalid`, naming both digests. */
export function verifyBytes(bytes: Uint8Array, digest: Digest, what: string): void {
  const actual = digestOf(bytes, digestAlgorithm(digest));
  if (actual !== digest) throw wrong(what, `its digest is ${actual}, not ${digest} as asked for`);
}

/** The digest of `bytes`. */
export function digestOf(bytes: Uint8Array, algorithm: 'sha256' | 'sha384' | 'sha512' = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}` as Digest;
}

/** The whole of `body` in one piece. Errors: `invalid` when it is longer than `maxBytes`. */
export async function collect(body: AsyncIterable<Uint8Array>, maxBytes: number, what: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) throw wrong(what, `it is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}

function wrong(what: string, state: string): TareError {
  return new TareError('invalid', `Cannot use ${what}: ${state}`);
}
