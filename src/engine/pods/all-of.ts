import { isKind } from '../../base/errors.ts';

/** Does something with all at once, and comes back when all is done, also where some of it fails. One that is gone meanwhile is fine. Errors: the first one's. */
export async function allOf<T>(all: readonly T[], act: (one: T) => Promise<unknown>): Promise<void> {
  const failed = (await failuresOf(all, act))[0];
  if (failed !== undefined) throw failed.reason;
}

/** The same, saying which failed, and why. */
export async function failuresOf<T>(
  all: readonly T[],
  act: (one: T) => Promise<unknown>,
): Promise<{ readonly one: T; readonly reason: unknown }[]> {
  const results = await Promise.allSettled(all.map((one) => act(one)));
  return all.flatMap((one, index) => {
    const result = results[index];
    return result?.status !== 'rejected' || isKind(result.reason, 'not-found') ? [] : [{ one, reason: result.reason }];
  });
}
