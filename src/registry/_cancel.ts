import { TareError } from '../base/errors.ts';

/** The error for work given up because of `signal`: `deadline` when its time ran out, otherwise `cancelled`. */
export function cancelledBy(signal: AbortSignal, doing: string): TareError {
  const reason: unknown = signal.reason;
  const late = reason instanceof Error && reason.name === 'TimeoutError';
  if (reason instanceof TareError) return reason;
  return new TareError(
    late ? 'deadline' : 'cancelled',
    `Cannot ${doing}: ${late ? 'it took too long' : 'it was cancelled'}`,
    { cause: reason },
  );
}

/** Errors: `cancelled`, `deadline`. */
export function throwIfCancelled(signal: AbortSignal | undefined, doing: string): void {
  if (signal?.aborted === true) throw cancelledBy(signal, doing);
}

/** `promise`, unless `signal` comes first: what is waited for goes on, for others who share it. Errors: also `cancelled`, `deadline`. */
export async function unlessCancelled<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  doing: string,
): Promise<T> {
  if (signal === undefined) return promise;
  throwIfCancelled(signal, doing);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(cancelledBy(signal, doing));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
