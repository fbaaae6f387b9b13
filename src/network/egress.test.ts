import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatEgress, parseEgress } from './egress.ts';

test('parseEgress reads names, addresses and ranges, each with or without a port', () => {
  assert.deepEqual(parseEgress(['none']), { addresses: [], domains: [] });
  assert.deepEqual(
    parseEgress([
      'allow=Example.org.,*.b-c.example:443,localhost:1,_x.y',
      'allow=10.1.2.3/8,192.0.2.1:80,fd00::1,[2001:DB8::/32]:53,[::1],0.0.0.0/0:65535',
    ]),
    {
      domains: [
        { name: 'example.org', below: false },
        { name: 'b-c.example', below: true, port: 443 },
        { name: 'localhost', below: false, port: 1 },
        { name: '_x.y', below: false },
      ],
      addresses: [
        { subnet: '10.0.0.0/8' },
        { subnet: '192.0.2.1/32', port: 80 },
        { subnet: 'fd00::1/128' },
        { subnet: '2001:db8::/32', port: 53 },
        { subnet: '::1/128' },
        { subnet: '0.0.0.0/0', port: 65535 },
      ],
    },
  );
});

test('formatEgress says what parseEgress reads again', () => {
  for (const text of ['none', 'allow=a.org,*.b.org:80,10.0.0.0/8,192.0.2.1:80,fd00::1,[2001:db8::/32]:53,[::1]:9'])
    assert.equal(formatEgress(parseEgress([text])), text);
});

test('parseEgress refuses what is neither, and names it', () => {
  for (const item of [
    '',
    ' ',
    'a..b',
    '-a',
    '*',
    '*.',
    'a:b',
    'a:0',
    'a:65536',
    '1.2.3',
    '1.2.3.4/33',
    'fd00::/129',
    '[fd00::1',
    '::1:',
    'a/8',
    `${'a'.repeat(64)}.org`,
    `${'a.'.repeat(127)}a`,
    'ä.org',
    'a\0',
  ])
    assert.throws(() => parseEgress([`allow=${item}`]), { kind: 'invalid' }, item);
  for (const words of [[''], ['all'], ['none', 'none'], ['allow=a.org', 'none'], ['allow']])
    assert.throws(() => parseEgress(words), { kind: 'invalid', message: /^Cannot use --egress/ });
  assert.throws(() => parseEgress([`allow=${Array(501).fill('a.org').join(',')}`]), {
    message: /501 items, at most 500/,
  });
});
