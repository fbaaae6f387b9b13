import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quantile, summarize } from './statistics.ts';

test('quantile interpolates between the two nearest samples, in any order', () => {
  assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
  assert.equal(quantile([10, 0], 0.1), 1);
  assert.equal(quantile([7], 0.9), 7);
});

test('quantile of no samples is NaN', () => {
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

test('summarize leaves its input as it was', () => {
  const samples = [3, 1, 2];
  assert.deepEqual(summarize(samples), { count: 3, median: 2, p10: 1.2, p90: 2.8 });
  assert.deepEqual(samples, [3, 1, 2]);
});
