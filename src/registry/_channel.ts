/** Bytes handed from one who has them to one who iterates: the giver waits until they are taken, so nothing piles up. One taker. */
export class Channel implements AsyncIterable<Uint8Array> {
  #offered: { readonly chunk: Uint8Array; readonly taken: () => void; readonly refused: (reason: unknown) => void }[] =
    [];
  #end: { readonly error?: Error } | undefined;
  #wake = (): void => {};

  /** Resolves when the chunk was taken. Rejects when the channel is aborted. */
  push(chunk: Uint8Array): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (this.#end !== undefined) reject(this.#end.error ?? new Error('the channel has ended'));
    else this.#offered.push({ chunk, taken: resolve, refused: reject });
    this.#wake();
    return promise;
  }

  /** The taker sees the end after what was pushed. */
  end(): void {
    this.#end ??= {};
    this.#wake();
  }

  /** Giver and taker see `error` from now on. */
  abort(error: Error): void {
    this.#end ??= { error };
    for (const { refused } of this.#offered.splice(0)) refused(error);
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const next = this.#offered.shift();
      if (next !== undefined) {
        next.taken();
        yield next.chunk;
      } else if (this.#end !== undefined) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }
}
