import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeContainer, encodeTable, splitTable } from './name-table.ts';

const container = (id: string, ...names: string[]): Buffer =>
  encodeContainer({
    id,
    relays: true,
    places: [
      { bridge: 'br0', named: true, addresses: [{ address: '10.0.0.2', prefix: 24, gateway: '10.0.0.1' }], names },
    ],
  });

test('splitTable gives back the sections that encodeTable joined, whatever the machine asks', () => {
  for (const servers of [[], ['9.9.9.9'], ['fd00::1', '9.9.9.9', '8.8.8.8', '1.1.1.1']]) {
    const sections = new Map([
      ['a'.repeat(64), container('a'.repeat(64), 'web', 'www')],
      ['b', container('b')],
    ]);
    assert.deepEqual(splitTable(encodeTable(servers, sections)), sections);
  }
  assert.deepEqual(splitTable(encodeTable([], new Map())), new Map());
});

test('splitTable refuses what is no table, cut anywhere or changed anywhere in its frame', () => {
  const table = encodeTable(['9.9.9.9'], new Map([['a', container('a', 'web')]]));
  for (let length = 0; length < table.length; length++)
    assert.throws(() => splitTable(table.subarray(0, length)), { kind: 'invalid' }, String(length));
  assert.throws(() => splitTable(Buffer.concat([table, Buffer.of(0)])), { kind: 'invalid' });
  for (const at of [0, 4, 12, 16, 22]) {
    const bad = Buffer.from(table);
    bad[at] = (bad[at] ?? 0) ^ 0x40;
    assert.throws(() => splitTable(bad), { kind: 'invalid' }, String(at));
  }
});

test('encodeContainer leaves out names that DNS cannot carry', () => {
  const long = 'x'.repeat(254);
  assert.deepEqual(container('a', 'web', long), container('a', 'web'));
});
