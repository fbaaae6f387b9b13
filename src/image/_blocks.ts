/** The same bytes in pieces of exactly `blockBytes`, the last one shorter. Each piece is memory of its own. */
export async function* blocksOf(
  body: AsyncIterable<Uint8Array>,
  blockBytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  let block = Buffer.allocUnsafeSlow(blockBytes);
  let length = 0;
  for await (const chunk of body) {
    for (let at = 0; at < chunk.byteLength;) {
      const piece = chunk.subarray(at, at + blockBytes - length);
      block.set(piece, length);
      length += piece.byteLength;
      at += piece.byteLength;
      if (length < blockBytes) continue;
      yield block;
      block = Buffer.allocUnsafeSlow(blockBytes);
      length = 0;
    }
  }
  if (length > 0) yield block.subarray(0, length);
}
