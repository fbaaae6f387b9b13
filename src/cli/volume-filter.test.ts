import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { VolumeSummary } from '../engine/volumes/list-volumes.ts';
import { parseFilters } from './filters.ts';
import { UsageError } from './usage-error.ts';
import { volumeFilterKeys, volumeTest } from './volume-filter.ts';

const volume = (name: string, more: Partial<VolumeSummary> = {}): VolumeSummary => ({
  name,
  driver: 'local',
  mountpoint: `/v/${name}/_data`,
  createdAt: '2026-01-01T00:00:00.000Z',
  labels: {},
  options: {},
  anonymous: false,
  fresh: true,
  users: [],
  ...more,
});
const volumes = [
  volume('data', { labels: { a: '1', b: '' }, users: [{ id: 'c', name: 'c' }] }),
  volume('database', { labels: { a: '2' }, createdAt: '2026-03-01T00:00:00.000Z' }),
  volume('f'.repeat(64), { anonymous: true, options: { type: 'tmpfs' } }),
];
const now = Date.parse('2026-03-02T00:00:00Z');
const select = (...filters: string[]): string[] =>
  volumes.filter(volumeTest(parseFilters(filters, volumeFilterKeys), now)).map(({ name }) => name.slice(0, 8));

test('volumeTest: values of a key are alternatives, labels and keys all count', () => {
  const cases: Record<string, readonly string[]> = {
    '': ['data', 'database', 'ffffffff'],
    'name=base': ['database'],
    'name=^data$': ['data'],
    'name=^data$ name=^f': ['data', 'ffffffff'],
    'label=a': ['data', 'database'],
    'label=a label=b': ['data'],
    'label=a=2': ['database'],
    'label!=a': ['ffffffff'],
    'dangling=true': ['database', 'ffffffff'],
    'dangling=false': ['data'],
    'dangling=true name=data': ['database'],
    'anonymous=1': ['ffffffff'],
    'opt=type=tmpfs': ['ffffffff'],
    'until=48h': ['data', 'ffffffff'],
    'since=2026-02-01': ['database'],
    'driver=local scope=local all=true': ['data', 'database', 'ffffffff'],
    'driver=nfs': [],
  };
  for (const [line, expected] of Object.entries(cases))
    assert.deepEqual(select(...line.split(' ').filter(Boolean)), expected, line);
});

test('volumeTest: refuses what it cannot understand', () => {
  for (const filter of ['name=(', 'dangling=maybe', 'until=soon', 'all=x'])
    assert.throws(() => select(filter), UsageError, filter);
});
