/** Takes bytes off a stream in the amounts a format asks for. Disposing closes the stream. */
export class ByteFeed implements AsyncDisposable {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #cutShort: () => Error;
  #current: Uint8Array = new Uint8Array(0);

  /** `cutShort` makes the error for a stream that ends where bytes are due. */
  constructor(body: AsyncIterable<Uint8Array>, cutShort: () => Error) {
    this.#chunks = body[Symbol.asyncIterator]();
    this.#cutShort = cutShort;
  }

  /** True when no byte is left. */
  async ended(): Promise<boolean> {
    while (this.#current.byteLength === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return true;
      this.#current = next.value;
    }
    return false;
  }

  /** Exactly `count` bytes in one piece; meant for few. */
  async take(count: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for await (const piece of this.pieces(count)) parts.push(piece);
    const [only] = parts;
    return parts.length === 1 && only !== undefined
      ? Buffer.from(only.buffer, only.byteOffset, only.byteLength)
      : Buffer.concat(parts, count);
  }

  /** Exactly `count` bytes as they come. */
  async *pieces(count: number): AsyncGenerator<Uint8Array, void, void> {
    for (let left = count; left > 0;) {
      if (await this.ended()) throw this.#cutShort();
      const piece = this.#current.subarray(0, left);
      this.#current = this.#current.subarray(piece.byteLength);
      left -= piece.byteLength;
      yield piece;
    }
  }

  async skip(count: number): Promise<void> {
    for await (const _ of this.pieces(count));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return?.();
  }
}
