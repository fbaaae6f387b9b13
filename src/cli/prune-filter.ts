import type { PruneWish } from '../engine/prune-wish.ts';
import { parseFilters } from './filters.ts';
import type { FlagTable } from './flag-table.ts';
import { UsageError } from './usage-error.ts';
import { parseTime } from './values.ts';

const keys = ['until', 'label', 'label!'] as const;

/** The flags of verbs that remove what has a time and labels, and is used by nobody. */
export const pruneFlags = {
  force: { type: 'switch', short: 'f', help: 'Do not ask' },
  filter: {
    type: 'list',
    value: 'KEY=VALUE',
    offers: keys.map((key) => `${key}=`),
    help: 'Only those created before a time (until=24h), or with a label (label=, label!=)',
  },
} as const satisfies FlagTable;

/** What `--filter` says. Errors: UsageError. */
export function pruneWish(given: readonly string[], nowMs: number): PruneWish {
  const filters = parseFilters(given, keys);
  const [until, ...more] = filters.get('until') ?? [];
  if (more.length > 0) throw new UsageError('Cannot use --filter until= more than once');
  return {
    labels: filters.get('label') ?? [],
    withoutLabels: filters.get('label!') ?? [],
    ...(until === undefined ? {} : { createdBefore: parseTime('--filter until=', until, nowMs) }),
  };
}
