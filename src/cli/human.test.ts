import assert from 'node:assert/strict';
import test from 'node:test';
import { ago, humanDuration, humanSize } from './human.ts';

test('humanDuration: docker words', () => {
  const s = 1000;
  const cases: [number, string][] = [
    [500, 'Less than a second'],
    [1 * s, '1 second'],
    [59 * s, '59 seconds'],
    [60 * s, 'About a minute'],
    [180 * s, '3 minutes'],
    [3600 * s, 'About an hour'],
    [5 * 3600 * s, '5 hours'],
    [3 * 86400 * s, '3 days'],
    [21 * 86400 * s, '3 weeks'],
    [100 * 86400 * s, '3 months'],
    [1000 * 86400 * s, '2 years'],
  ];
  for (const [ms, words] of cases) assert.equal(humanDuration(ms), words);
});

test('ago: nothing for no time, never negative', () => {
  assert.equal(ago(undefined, 0), '');
  assert.equal(ago('garbage', 0), '');
  assert.equal(ago('2026-01-02T03:04:05Z', Date.parse('2026-01-02T03:04:00Z')), 'Less than a second ago');
});

test('humanSize: powers of 1000, three digits', () => {
  assert.deepEqual([0, 999, 1500, 7_834_567, 999_600, 1.234e9].map(humanSize), [
    '0B',
    '999B',
    '1.5kB',
    '7.83MB',
    '1MB',
    '1.23GB',
  ]);
});
