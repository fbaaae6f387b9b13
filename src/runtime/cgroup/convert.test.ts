import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blkioToIoWeight, decimal, sharesToWeight, swapToV2 } from './convert.ts';

test('sharesToWeight maps both ends and the default of v1 to those of v2', () => {
  assert.equal(sharesToWeight(2), 1);
  assert.equal(sharesToWeight(1024), 100);
  assert.equal(sharesToWeight(262_144), 10_000);
  assert.equal(sharesToWeight(0), 1);
  assert.equal(sharesToWeight(2 ** 40), 10_000);
});

test('sharesToWeight is monotonic, whole and within the range of cpu.weight for every value of cpu.shares', () => {
  let before = 0;
  for (let shares = 2; shares <= 262_144; shares++) {
    const weight = sharesToWeight(shares);
    if (!Number.isInteger(weight) || weight < before || weight < 1 || weight > 10_000)
      assert.fail(`${shares} -> ${weight} after ${before}`);
    before = weight;
  }
});

test('blkioToIoWeight maps 10…1000 onto 1…10000, monotonic', () => {
  assert.equal(blkioToIoWeight(10), 1);
  assert.equal(blkioToIoWeight(1000), 10_000);
  for (let weight = 11; weight <= 1000; weight++) assert.ok(blkioToIoWeight(weight) > blkioToIoWeight(weight - 1));
});

test('swapToV2 takes memory out of memory plus swap', () => {
  assert.equal(swapToV2(100, 250), '150');
  assert.equal(swapToV2(100, 100), '0');
  assert.equal(swapToV2(100, -1), 'max');
  assert.equal(swapToV2(-1, 300), '300');
  assert.equal(swapToV2(-1, undefined), 'max');
  assert.equal(swapToV2(100, undefined), undefined);
});

test('decimal writes large numbers without an exponent', () => {
  assert.equal(decimal(2 ** 70), '1180591620717411303424');
  assert.equal(decimal(-1), '-1');
});
