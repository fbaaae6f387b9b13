import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import {
  addressOfNumber,
  contains,
  formatAddress,
  formatSubnet,
  numberOfAddress,
  overlaps,
  parseAddress,
  parseSubnet,
  readAddress,
} from './ip.ts';

test('parseAddress and formatAddress: both families, as RFC 5952 writes them', () => {
  for (const [text, shown = text] of [
    ['0.0.0.0'],
    ['10.90.255.1'],
    ['::'],
    ['::1'],
    ['fd00::1'],
    ['1::'],
    ['FD00:0:0:1:0:0:0:1', 'fd00:0:0:1::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:2:3:4:5:6:7:0', '1:2:3:4:5:6:7:0'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
  ] as const)
    assert.equal(formatAddress(parseAddress(text)), shown);
});

test('readAddress refuses what Node refuses, and the other way round', () => {
  const pieces = ['', '0', '1', '01', '255', '256', 'fd00', '12345', 'g', '::', ':', '.', '%eth0', ' ', '10.0.0.1'];
  let seed = 1;
  const random = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  for (let round = 0; round < 20_000; round++) {
    const joint = random(2) === 0 ? ':' : '.';
    const text = Array.from({ length: 1 + random(9) }, () => pieces[random(pieces.length)]).join(joint);
    const known = text.includes('%') ? 0 : isIP(text);
    assert.equal((readAddress(text)?.length ?? 0) / 4, known === 6 ? 4 : known === 4 ? 1 : 0, text);
  }
});

test('parseSubnet clears what is behind the prefix; says what is wrong', () => {
  assert.equal(formatSubnet(parseSubnet('10.90.3.7/16')), '10.90.0.0/16');
  assert.equal(formatSubnet(parseSubnet('fd00:1::7/64')), 'fd00:1::/64');
  for (const text of [
    '10.90.0.0',
    '10.90.0.0/33',
    '10.90.0.0/',
    '10.90.0.0/08',
    'x/8',
    'fd00::/129',
    '/8',
    '10.0.0.0/-1',
  ])
    assert.throws(() => parseSubnet(text, '--subnet'), { kind: 'invalid', message: /^Cannot use --subnet / }, text);
});

test('contains and overlaps: by bits, never across families', () => {
  const net = parseSubnet('10.90.0.0/16');
  assert.ok(contains(net, parseAddress('10.90.255.255')));
  assert.ok(!contains(net, parseAddress('10.91.0.0')));
  assert.ok(overlaps(net, parseSubnet('10.90.7.0/24')) && overlaps(parseSubnet('10.0.0.0/8'), net));
  assert.ok(overlaps(parseSubnet('0.0.0.0/0'), net));
  assert.ok(!overlaps(net, parseSubnet('10.91.0.0/16')));
  assert.ok(!overlaps(parseSubnet('::/0'), net));
  assert.equal(numberOfAddress(parseAddress('0.0.1.0')), 256n);
  assert.equal(formatAddress(addressOfNumber(numberOfAddress(parseAddress('fd00::ff')) + 1n, 16)), 'fd00::100');
});
