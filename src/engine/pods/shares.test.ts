import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseShares } from './shares.ts';

test('parseShares: podman’s words, none, and what comes on top of the default', () => {
  assert.deepEqual(parseShares(undefined), ['ipc', 'net', 'uts']);
  assert.deepEqual(parseShares('none'), []);
  assert.deepEqual(parseShares(''), []);
  assert.deepEqual(parseShares('pid, net'), ['net', 'pid']);
  assert.deepEqual(parseShares('+pid'), ['ipc', 'net', 'pid', 'uts']);
  for (const text of ['ipc;net', 'constructor', 'mount', 'net,bad'])
    assert.throws(() => parseShares(text), /expected none, or some of cgroup, ipc, net, pid and uts/, text);
  assert.throws(() => parseShares('net,user'), /Cannot use --share user/);
});
