import { hasLabel } from '../engine/has-label.ts';
import type { VolumeSummary } from '../engine/volumes/list-volumes.ts';
import { type Filters, filterSwitch } from './filters.ts';
import { UsageError } from './usage-error.ts';
import { parseTime } from './values.ts';

/** Keys of `--filter` of `volume ls` and `volume prune`. */
export const volumeFilterKeys = [
  'name',
  'driver',
  'label',
  'label!',
  'opt',
  'scope',
  'dangling',
  'anonymous',
  'all',
  'until',
  'since',
  'after',
] as const;

/** What completion offers for it. */
export const volumeFilterOffers = volumeFilterKeys.flatMap((key) =>
  /^(dangling|anonymous)$/.test(key) ? [`${key}=true`, `${key}=false`] : key === 'all' ? [] : [`${key}=`],
);

type Test = (volume: VolumeSummary) => boolean;

/** Whether a volume is wanted: any value of a key will do, but all labels must be there. Errors: UsageError. */
export function volumeTest(filters: Filters, nowMs: number): Test {
  const tests = [...filters].map(([key, values]): Test => {
    const each = values.map((value) => testOf(key, value, nowMs));
    return key.startsWith('label')
      ? (volume) => each.every((test) => test(volume))
      : (volume) => each.some((test) => test(volume));
  });
  return (volume) => tests.every((test) => test(volume));
}

function testOf(key: string, value: string, nowMs: number): Test {
  switch (key) {
    case 'name':
      return nameTest(value);
    case 'driver':
      return ({ driver }) => driver === value;
    case 'scope':
      return () => value === 'local';
    case 'label':
      return ({ labels }) => hasLabel(labels, value);
    case 'label!':
      return ({ labels }) => !hasLabel(labels, value);
    case 'opt':
      return ({ options }) => hasLabel(options, value);
    case 'dangling': {
      const wanted = filterSwitch(key, value);
      return ({ users }) => (users.length === 0) === wanted;
    }
    case 'anonymous': {
      const wanted = filterSwitch(key, value);
      return ({ anonymous }) => anonymous === wanted;
    }
    case 'until': {
      const time = parseTime('--filter until=', value, nowMs);
      return ({ createdAt }) => createdAt < time;
    }
    case 'since':
    case 'after': {
      const time = parseTime(`--filter ${key}=`, value, nowMs);
      return ({ createdAt }) => createdAt > time;
    }
    default:
      // `all` says which kinds, and is asked for elsewhere.
      filterSwitch(key, value);
      return () => true;
  }
}

/** As docker: part of a name, or a regular expression. */
function nameTest(wanted: string): Test {
  let pattern: RegExp;
  try {
    pattern = new RegExp(wanted);
  } catch (cause) {
    throw new UsageError(`Cannot use --filter name=${wanted}: no regular expression`, { cause });
  }
  return ({ name }) => pattern.test(name);
}
