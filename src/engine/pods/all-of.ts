import { isKind } from '../../base/errors.ts';

/** Does something with all at once, and comes back when all is done, also where some of it fails. One that is gone meanwhile is fine. Errors: the first one's. */
export async function allOf<T>(all: readonly T[], act: (one: T) => Promise<unknown>): Promise<void> {
  const [failed] = await failuresOf(all, act);
  if (failed !== undefined) throw failed.reason;
}

/** The same, saying which failed, and why. */
export async function failuresOf<T>(
  all: readonly T[],
  act: (one: T) => Promise<unknown>,
): Promise<{ readonly one: T; readonly reason: unknown }[]> {
  const failures: { readonly one: T; readonly reason: unknown }[] = [];
  const attempt = async (one: T): Promise<void> => {
    try {
      await act(one);
    } catch (reason) {
      if (!isKind(reason, 'not-found')) failures.push({ one, reason });
    }
  };
  await Promise.all(all.map(attempt));
  return failures;
}
