import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sliceProperties } from './slice-properties.ts';

test('sliceProperties: limits in the words of systemd', () => {
  const { properties, warnings } = sliceProperties({
    memory: { limit: 100, reservation: 50, swap: 300 },
    cpu: { shares: 1024, quota: 50_000, period: 200_000, cpus: '0-1,9', mems: '0' },
    pids: { limit: 7 },
    blockIO: { weight: 1000, throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 5 }], throttleWriteIOPSDevice: [] },
    devices: [],
  });
  assert.deepEqual(properties, [
    ['MemoryMax', 't', 100n],
    ['MemoryLow', 't', 50n],
    ['MemorySwapMax', 't', 200n],
    ['CPUWeight', 't', 100n],
    ['CPUQuotaPerSecUSec', 't', 250_000n],
    ['CPUQuotaPeriodUSec', 't', 200_000n],
    ['AllowedCPUs', 'ay', [3, 2]],
    ['AllowedMemoryNodes', 'ay', [1]],
    ['TasksMax', 't', 7n],
    ['IOWeight', 't', 10_000n],
    ['IOReadBandwidthMax', 'a(st)', [['/dev/block/8:0', 5n]]],
  ]);
  assert.deepEqual(warnings, []);
});

test('sliceProperties: nothing asked is nothing said; what systemd has no words for is a warning', () => {
  assert.deepEqual(sliceProperties({}), { properties: [], warnings: [] });
  assert.deepEqual(sliceProperties({ memory: { limit: -1, swap: -1 }, pids: { limit: -1 } }).properties, []);
  const { properties, warnings } = sliceProperties({ unified: { 'memory.high': '1' }, cpu: { quota: 10_000 } });
  assert.deepEqual(properties, [['CPUQuotaPerSecUSec', 't', 100_000n]]);
  assert.match(warnings.join(), /^The limits unified of the pod are not enforced/);
});
