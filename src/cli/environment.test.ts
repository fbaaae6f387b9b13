import assert from 'node:assert/strict';
import { test } from 'node:test';
import { variable } from './environment.ts';

test('variable: what is given, or the value of the caller, or nothing', () => {
  const env = { A: '1', EMPTY: '' };
  assert.deepEqual(variable('--env', 'A=2=3', env), ['A=2=3']);
  assert.deepEqual(variable('--env', 'A', env), ['A=1']);
  assert.deepEqual(variable('--env', 'EMPTY', env), ['EMPTY=']);
  assert.deepEqual(variable('--env', 'NONE', env), []);
  assert.throws(() => variable('--env', '=x', env), { message: /a name must stand before/ });
  assert.throws(() => variable('--env', 'A=\0', env), { message: /zero byte/ });
});

test('variable: finds what the launcher kept from Node', () => {
  const env = { TARE_HIDDEN_NODE_ENV: 'test', TARE_HIDDEN_LD_LIBRARY_PATH: '/mine', LD_LIBRARY_PATH: '/ours' };
  assert.deepEqual(variable('--env', 'NODE_ENV', env), ['NODE_ENV=test']);
  assert.deepEqual(variable('--env', 'LD_LIBRARY_PATH', env), ['LD_LIBRARY_PATH=/mine']);
});
