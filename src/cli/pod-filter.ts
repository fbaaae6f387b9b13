import { hasLabel } from '../engine/has-label.ts';
import type { PodSummary } from '../engine/pods/list-pods.ts';
import { parseFilters } from './filters.ts';
import { UsageError } from './usage-error.ts';
import { parseInteger, parseTime } from './values.ts';

const keys = [
  'id',
  'name',
  'status',
  'label',
  'label!',
  'network',
  'until',
  'ctr-ids',
  'ctr-names',
  'ctr-number',
  'ctr-status',
] as const;
const states = ['created', 'running', 'degraded', 'paused', 'exited', 'stopped', 'error'] as const;

/** What completion offers for `pod ps --filter`. */
export const podFilterOffers: readonly string[] = [
  ...keys.map((key) => `${key}=`),
  ...states.map((state) => `status=${state}`),
];

/** Compiles `--filter` flags. Of several values of one key any will do, but all labels must be there (and none of `label!`). Errors: UsageError. */
export function compilePodFilter(given: readonly string[], nowMs: number): (pod: PodSummary) => boolean {
  const checks = [...parseFilters(given, keys)].map(([key, values]) => {
    const tests = values.map((value) => testOf(key, value, nowMs));
    return (pod: PodSummary): boolean =>
      key.startsWith('label') ? tests.every((test) => test(pod)) : tests.some((test) => test(pod));
  });
  return (pod) => checks.every((check) => check(pod));
}

function testOf(key: string, value: string, nowMs: number): (pod: PodSummary) => boolean {
  switch (key) {
    case 'id':
      return ({ id }) => id.startsWith(value);
    case 'name':
      return ({ name }) => name.includes(value);
    case 'status':
      if (!states.some((state) => state === value.toLowerCase()))
        throw new UsageError(`Cannot use --filter status=${value}: expected ${states.join(', ')}`);
      return ({ state }) => state.toLowerCase() === value.toLowerCase();
    case 'label':
      return ({ labels }) => hasLabel(labels, value);
    case 'label!':
      return ({ labels }) => !hasLabel(labels, value);
    case 'network':
      return ({ networks }) => networks.includes(value);
    case 'until': {
      const time = parseTime('--filter until=', value, nowMs);
      return ({ createdAt }) => createdAt < time;
    }
    case 'ctr-ids':
      return ({ containers }) => containers.some(({ id }) => id.startsWith(value));
    case 'ctr-names':
      return ({ containers }) => containers.some(({ name }) => name.includes(value));
    case 'ctr-number': {
      const count = parseInteger('--filter ctr-number=', value);
      return ({ containers }) => containers.length === count;
    }
    default:
      return ({ containers }) => containers.some(({ state }) => state === value);
  }
}
