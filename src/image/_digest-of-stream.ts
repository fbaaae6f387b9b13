import { createHash } from 'node:crypto';
import type { Digest, DigestAlgorithm } from '../spec/mod.ts';

/** The digest of all bytes of a stream. */
export async function digestOfStream(body: AsyncIterable<Uint8Array>, algorithm: DigestAlgorithm): Promise<Digest> {
  const hash = createHash(algorithm);
  for await (const chunk of body) hash.update(chunk);
  return `${algorithm}:${hash.digest('hex')}` as Digest;
}
