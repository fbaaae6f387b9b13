import { hasLabel } from '../engine/has-label.ts';
import type { PodSummary } from '../engine/pods/list-pods.ts';
import { nameTest, parseFilters, requireOne } from './filters.ts';
import { psStates } from './ps-filter-keys.ts';
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
      return nameTest(value);
    case 'status':
      requireOne(key, value.toLowerCase(), states);
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
    case 'ctr-names': {
      const test = nameTest(value);
      return ({ containers }) => containers.some(test);
    }
    case 'ctr-number': {
      const count = parseInteger('--filter ctr-number=', value);
      return ({ containers }) => containers.length === count;
    }
    default:
      requireOne(key, value, psStates);
      return ({ containers }) => containers.some(({ state }) => state === value);
  }
}
