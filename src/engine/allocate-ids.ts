import { TareError } from '../base/errors.ts';
import type { IdMapping } from '../spec/runtime-config.ts';
import { MAX_MAPPINGS } from './id-maps.ts';
import type { IdRange } from './sub-ids.ts';

export interface IdsWanted {
  readonly kind: 'uid' | 'gid';
  /** Container ids 0 to size - 1. */
  readonly size: number;
  /** Ids that have a host id already. */
  readonly given: readonly IdMapping[];
  /** Host ids that may be given. */
  readonly available: readonly IdRange[];
  readonly used: readonly IdRange[];
  /** Take the highest ones instead of the lowest. */
  readonly fromEnd?: boolean;
}

/**
 * Finds host ids for a container that nobody else has: in one piece where there is one, otherwise in as few as it takes. Sorted by container id.
 *
 * Errors: exhausted.
 */
export function allocateIds(wanted: IdsWanted): IdMapping[] {
  const { kind, size, given } = wanted;
  const inside = without(
    [{ first: 0, count: size }],
    given.map(({ containerID, size: count }) => ({ first: containerID, count })),
  );
  const total = inside.reduce((sum, { count }) => sum + count, 0);
  const taken = [...wanted.used, ...given.map(({ hostID, size: count }) => ({ first: hostID, count }))];
  const free = without(wanted.available, taken);
  const found = pieces(free, total, wanted.fromEnd === true);
  const missing = total - found.reduce((sum, { count }) => sum + count, 0);
  if (missing > 0) {
    const all = wanted.available.reduce((sum, { count }) => sum + count, 0);
    throw new TareError(
      'exhausted',
      `Cannot give the container ${total} ${kind}s: ${total - missing} of ${all} are free; remove containers that have some, ask for less (--userns auto:size=N), or add a range to /etc/sub${kind}`,
    );
  }
  const mappings = [...given, ...together(inside, found)].sort((a, b) => a.containerID - b.containerID);
  if (mappings.length > MAX_MAPPINGS)
    throw new TareError(
      'exhausted',
      `Cannot give the container ${total} ${kind}s: the free ones are in more than ${MAX_MAPPINGS} pieces; remove containers that have some`,
    );
  return mappings;
}

/** Up to `total` ids of the free ones. */
function pieces(free: readonly IdRange[], total: number, fromEnd: boolean): IdRange[] {
  if (total === 0) return [];
  const cut = ({ first, count }: IdRange, size: number): IdRange => ({
    first: fromEnd ? first + count - size : first,
    count: size,
  });
  const whole = (range: IdRange): boolean => range.count >= total;
  const one = fromEnd ? free.findLast(whole) : free.find(whole);
  if (one !== undefined) return [cut(one, total)];
  const result: IdRange[] = [];
  let left = total;
  for (const range of free.toSorted((a, b) => b.count - a.count)) {
    if (left === 0) break;
    const piece = cut(range, Math.min(left, range.count));
    result.push(piece);
    left -= piece.count;
  }
  return result;
}

/** Container ids and host ids of the same number, side by side. */
function together(inside: readonly IdRange[], outside: readonly IdRange[]): IdMapping[] {
  const result: IdMapping[] = [];
  const hosts = outside.map((range) => ({ ...range }));
  for (const range of inside) {
    let { first, count } = range;
    for (let host = hosts[0]; count > 0 && host !== undefined; host = hosts[0]) {
      const size = Math.min(count, host.count);
      result.push({ containerID: first, hostID: host.first, size });
      [first, count] = [first + size, count - size];
      [host.first, host.count] = [host.first + size, host.count - size];
      if (host.count === 0) hosts.shift();
    }
  }
  return result;
}

/** `ranges` without `holes`, sorted, touching ones as one. */
export function without(ranges: readonly IdRange[], holes: readonly IdRange[]): IdRange[] {
  const sorted = holes.filter(({ count }) => count > 0).sort((a, b) => a.first - b.first);
  return merged(ranges).flatMap(({ first, count }) => {
    const result: IdRange[] = [];
    let at = first;
    for (const hole of sorted) {
      if (hole.first + hole.count <= at) continue;
      if (hole.first >= first + count) break;
      if (hole.first > at) result.push({ first: at, count: hole.first - at });
      at = hole.first + hole.count;
    }
    if (at < first + count) result.push({ first: at, count: first + count - at });
    return result;
  });
}

function merged(ranges: readonly IdRange[]): IdRange[] {
  const result: { first: number; count: number }[] = [];
  for (const { first, count } of ranges.toSorted((a, b) => a.first - b.first)) {
    const last = result.at(-1);
    if (last !== undefined && first <= last.first + last.count)
      last.count = Math.max(last.count, first + count - last.first);
    else result.push({ first, count });
  }
  return result;
}
