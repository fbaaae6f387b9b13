/**
 * Runs `work` for every item, `most` at a time, and gives the results in the items' order. The first failure aborts the signal that the others got; it is thrown when all
 * have ended, so that nothing runs on behind a caller's back.
 */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  most: number,
  signal: AbortSignal | undefined,
  work: (item: Item, index: number, signal: AbortSignal) => Promise<Result>,
): Promise<Result[]> {
  const failed = new AbortController();
  const stop = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
  const results: Result[] = [];
  let failure: { readonly error: unknown } | undefined;
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) {
      if (failure !== undefined) return;
      try {
        results[index] = await work(item, index, stop);
      } catch (error) {
        failure ??= { error };
        failed.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(most, items.length)) }, worker));
  if (failure !== undefined) throw failure.error;
  return results;
}
