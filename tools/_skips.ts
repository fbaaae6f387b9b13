/** A test that did not run, and why. */
export interface Skip {
  readonly test: string;
  readonly file: string;
  readonly reason: string;
}

/** What no package and no privilege brings: see test/support/needs.ts. */
const EXCUSE = 'cannot here:';

/** Skips that a machine meant to run everything has no excuse for. */
export function unexcused(skips: readonly Skip[]): Skip[] {
  return skips.filter(({ reason }) => !reason.startsWith(EXCUSE));
}

/** "  3 x needs root", most frequent first. */
export function countReasons(skips: readonly Skip[]): string[] {
  const counts = new Map<string, number>();
  for (const { reason } of skips) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).map(([reason, count]) => `${count} x ${reason}`);
}
