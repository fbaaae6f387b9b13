import { TareError } from '../base/errors.ts';

const BLOCK_BYTES = 512;

/**
 * The same bytes, provided that they end as a tar does, with zeros: whoever wrote into a pipe and died at the end of a file would not be missed otherwise. Errors: `invalid`.
 */
export async function* wholeTar(tar: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<Uint8Array, void, void> {
  let last = Buffer.alloc(0);
  for await (const bytes of tar) {
    const end = Buffer.from(bytes.subarray(-BLOCK_BYTES));
    last = end.length === BLOCK_BYTES ? end : Buffer.concat([last, end]).subarray(-BLOCK_BYTES);
    yield bytes;
  }
  if (last.length < BLOCK_BYTES || last.some((byte) => byte !== 0))
    throw new TareError('invalid', `Cannot use ${what}: the tar has no end; it was cut short`);
}
