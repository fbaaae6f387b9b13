import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  allCapabilities,
  capabilityBit,
  capabilityMask,
  capabilityNames,
  defaultCapabilities,
  normalCapability,
  tweakCapabilities,
} from './capabilities.ts';

test('capabilities have the kernel’s numbers', () => {
  assert.deepEqual(
    ['CAP_CHOWN', 'CAP_SYS_ADMIN', 'CAP_SETFCAP', 'CAP_CHECKPOINT_RESTORE'].map(capabilityBit),
    [0, 21, 31, 40],
  );
  assert.equal(capabilityBit('CHOWN'), undefined);
  const last = Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'));
  assert.ok(allCapabilities.length > last, 'the kernel has a capability without a name here');
});

test('capabilityMask and capabilityNames are each other’s reverse', () => {
  assert.equal(capabilityMask(allCapabilities), (1n << 41n) - 1n);
  assert.equal(capabilityMask(defaultCapabilities), 0xa80425fbn);
  assert.deepEqual(
    capabilityNames(capabilityMask(defaultCapabilities)),
    allCapabilities.filter((name) => defaultCapabilities.includes(name)),
  );
  assert.throws(() => capabilityMask(['CAP_NOPE']), { kind: 'invalid' });
});

test('normalCapability takes any case, with or without prefix', () => {
  assert.deepEqual(['net_raw', 'CAP_NET_RAW', 'Cap_Net_Raw'].map(normalCapability), [
    'CAP_NET_RAW',
    'CAP_NET_RAW',
    'CAP_NET_RAW',
  ]);
  for (const bad of ['', 'ALL', 'CAP_', 'CAP_CAP_KILL', 'toString'])
    assert.throws(() => normalCapability(bad), { kind: 'invalid' }, bad);
});

test('tweakCapabilities: add, drop and ALL', () => {
  const base = ['CAP_KILL', 'CAP_CHOWN'];
  assert.deepEqual(tweakCapabilities(base, [], []), ['CAP_CHOWN', 'CAP_KILL']);
  assert.deepEqual(tweakCapabilities(base, ['sys_admin'], ['kill']), ['CAP_CHOWN', 'CAP_SYS_ADMIN']);
  assert.deepEqual(tweakCapabilities(base, ['kill'], ['ALL']), ['CAP_KILL']);
  assert.deepEqual(
    tweakCapabilities(base, ['all'], ['CAP_BPF']),
    allCapabilities.filter((name) => name !== 'CAP_BPF'),
  );
  assert.deepEqual(tweakCapabilities(base, [], ['all']), []);
  assert.throws(() => tweakCapabilities(base, ['kill'], ['CAP_KILL']), { kind: 'invalid' });
  assert.throws(() => tweakCapabilities(base, ['ALL'], ['ALL']), { kind: 'invalid' });
  assert.throws(() => tweakCapabilities(base, ['nope'], []), { kind: 'invalid', message: /nope/ });
});
