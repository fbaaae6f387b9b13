import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import { completeTypes, marshal, unmarshal, type Value } from './marshal.ts';

const invalid = (error: unknown): boolean => isKind(error, 'invalid');

test('marshal: the alignment and the lengths of the specification', () => {
  assert.equal(marshal('yu', [1, 2]).toString('hex'), '0100000002000000');
  assert.equal(marshal('s', ['foo']).toString('hex'), '03000000666f6f00');
  // An array's padding before its first element is not counted; also an empty one has it.
  assert.equal(marshal('at', [[5n]]).toString('hex'), '08000000000000000500000000000000');
  assert.equal(marshal('a(ss)', [[]]).toString('hex'), '0000000000000000');
  assert.equal(marshal('v', [{ signature: 'b', value: true }]).toString('hex'), '0162000001000000');
});

test('marshal and unmarshal: what goes in comes out', () => {
  const values: Value[] = [
    'tare-1.scope',
    'fail',
    [
      ['PIDs', { signature: 'au', value: [1, 4_294_967_295] }],
      ['TasksMax', { signature: 't', value: 2n ** 64n - 1n }],
      ['Delegate', { signature: 'b', value: true }],
      ['Description', { signature: 's', value: 'ä €' }],
    ],
    [],
  ];
  assert.deepEqual(unmarshal('ssa(sv)a(sa(sv))', marshal('ssa(sv)a(sa(sv))', values), true), values);
});

test('unmarshal: both byte orders, and the types only others send', () => {
  const big = Buffer.from('fffffffe00000000fffffffffffffffffffd00003ff0000000000000', 'hex');
  assert.deepEqual(unmarshal('ix', big.subarray(0, 16), false), [-2, -1n]);
  assert.deepEqual(unmarshal('n', big.subarray(16), false), [-3]);
  assert.deepEqual(unmarshal('d', Buffer.from('000000000000f03f', 'hex'), true), [1]);
  assert.deepEqual(unmarshal('{sv}', marshal('{sv}', [['k', { signature: 'u', value: 7 }]]), true), [
    ['k', { signature: 'u', value: 7 }],
  ]);
});

test('completeTypes: splits, and refuses what is no signature', () => {
  assert.deepEqual(completeTypes('ssa(sv)a(sa(sv))v'), ['s', 's', 'a(sv)', 'a(sa(sv))', 'v']);
  assert.deepEqual(completeTypes(''), []);
  for (const wrong of ['(', '(s', 'a', ')', 'a()', '()', 'z', 'toString', 'a'.repeat(66) + 'y', 's'.repeat(256)])
    assert.throws(() => completeTypes(wrong), invalid, wrong);
});

test('unmarshal: refuses what is cut, endless or too deep', () => {
  const bytes = marshal('sau', ['name', [1, 2]]);
  for (let end = 0; end < bytes.length; end++)
    assert.throws(() => unmarshal('sau', bytes.subarray(0, end), true), invalid, String(end));
  assert.throws(() => unmarshal('as', Buffer.from('ffffffff', 'hex'), true), invalid);
  // The second element begins within the array and ends behind it.
  assert.throws(() => unmarshal('au', Buffer.from('060000000100000002000000', 'hex'), true), invalid);
  assert.throws(() => unmarshal('s', Buffer.from('0100000061ff', 'hex'), true), invalid);
  assert.throws(() => unmarshal('v', Buffer.from('00000000', 'hex'), true), invalid);
  assert.throws(() => unmarshal('v', Buffer.from('02737300000000', 'hex'), true), invalid);
  assert.throws(() => unmarshal('v', Buffer.from('017600'.repeat(100), 'hex'), true), invalid);
});

test('marshal: a value that is not of its type is our mistake, a NUL byte the caller’s', () => {
  assert.throws(
    () => marshal('u', ['1']),
    (error) => isKind(error, 'internal'),
  );
  assert.throws(
    () => marshal('ss', ['1']),
    (error) => isKind(error, 'internal'),
  );
  assert.throws(() => marshal('s', ['a\0b']), invalid);
});
