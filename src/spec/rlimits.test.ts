import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RLIMIT_UNLIMITED, parseUlimit, rlimitNumber, rlimitValue } from './rlimits.ts';

test('rlimitNumber gives the kernel’s numbers', () => {
  assert.deepEqual(['RLIMIT_CPU', 'RLIMIT_NOFILE', 'RLIMIT_RTTIME', 'NOFILE', 'RLIMIT_X'].map(rlimitNumber), [
    0,
    7,
    15,
    undefined,
    undefined,
  ]);
});

test('rlimitValue: what a JSON reader makes of 2^64-1 is unlimited', () => {
  assert.equal(rlimitValue(JSON.parse('18446744073709551615') as number), RLIMIT_UNLIMITED);
  assert.equal(rlimitValue(1024), 1024n);
});

test('parseUlimit', () => {
  assert.deepEqual(parseUlimit('nofile=1024:2048'), { type: 'RLIMIT_NOFILE', soft: 1024, hard: 2048 });
  assert.deepEqual(parseUlimit('nproc=7'), { type: 'RLIMIT_NPROC', soft: 7, hard: 7 });
  assert.equal(rlimitValue(parseUlimit('core=-1').hard), RLIMIT_UNLIMITED);
  for (const bad of [
    '',
    'nofile',
    'nofile=',
    'nofile=a',
    'nofile=5:4',
    'nofile=-2',
    'nofile=1:2:3',
    'nope=1',
    'nofile=99999999999999999999',
  ]) {
    assert.throws(() => parseUlimit(bad), { kind: 'invalid' }, bad);
  }
});
