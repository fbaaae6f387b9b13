/** Resolves after a while; rejects with the signal's reason when it aborts before. Not `node:timers/promises`: loading it is part of a start. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', give);
      resolve();
    }, ms);
    const give = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    signal?.addEventListener('abort', give, { once: true });
  });
}

/** Milliseconds on a clock that never jumps. Not `performance.now()`: its first use loads a module, a millisecond of every start. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
