import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutations } from '../../../test/support/mutate.ts';
import { type JsonObject, JsonProblem, parseObject } from './json.ts';
import { parseResult } from './result.ts';

const now: JsonObject = {
  cniVersion: '1.1.0',
  interfaces: [
    { name: 'cni0', mac: '7e:21:f6:d8:b0:6d' },
    { name: 'eth0', mac: 'ee:96:fa:f9:bd:1f', mtu: 1500, sandbox: '/run/netns/x' },
  ],
  ips: [{ address: '10.50.0.2/24', gateway: '10.50.0.1', interface: 1 }, { address: 'fd00::2/64' }],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0', gw: 'fd00::1', mtu: 1400, table: 100 }],
  dns: { nameservers: ['10.50.0.1'], domain: 'a.example', search: ['b.example'], options: ['ndots:2'] },
};

test('parseResult: of each version the same', () => {
  const result = parseResult(now, '1.1.0');
  assert.deepEqual(result.interfaces[1], {
    name: 'eth0',
    mac: 'ee:96:fa:f9:bd:1f',
    mtu: 1500,
    sandbox: '/run/netns/x',
  });
  assert.deepEqual(result.ips, [
    { address: '10.50.0.2/24', gateway: '10.50.0.1', interface: 1 },
    { address: 'fd00::2/64' },
  ]);
  assert.deepEqual(result.routes, [{ dst: '0.0.0.0/0' }, { dst: '::/0', gw: 'fd00::1' }]);
  assert.deepEqual(result.dns, {
    nameservers: ['10.50.0.1'],
    domain: 'a.example',
    search: ['b.example'],
    options: ['ndots:2'],
  });
  const first = {
    ip4: { ip: '10.1.0.2/16', gateway: '10.1.0.1', routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }] },
    ip6: { ip: 'fd00::2/64' },
    dns: null,
  };
  assert.deepEqual(parseResult(first, '0.2.0'), {
    interfaces: [],
    ips: [{ address: '10.1.0.2/16', gateway: '10.1.0.1' }, { address: 'fd00::2/64' }],
    routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }],
    dns: { nameservers: [], search: [], options: [] },
  });
  assert.deepEqual(parseResult({ interfaces: null }, '0.3.0').ips, []);
});

test('parseResult: what is no result is refused, with its place', () => {
  for (const [raw, message] of [
    [{ ips: {} }, /ips: expected a list/],
    [{ ips: [{ address: '10.0.0.1' }] }, /ips\[0\]\.address: expected ADDRESS\/PREFIX/],
    [{ ips: [{ address: '10.0.0.1/33' }] }, /ips\[0\]\.address/],
    [{ ips: [{ address: '10.0.0.1/24', interface: 2 }], interfaces: [{}] }, /ips\[0\]\.interface: expected one of 1/],
    [{ ips: [{ address: '10.0.0.1/24', interface: -1 }] }, /ips\[0\]\.interface: expected a number/],
    [{ ips: [{ address: '10.0.0.1/24', gateway: 'x' }] }, /ips\[0\]\.gateway: expected an address/],
    [{ routes: [{ dst: 'default' }] }, /routes\[0\]\.dst/],
    [{ dns: { nameservers: ['a\nnameserver 1.1.1.1'] } }, /dns\.nameservers\[0\]/],
    [{ dns: { search: ['a b'] } }, /dns\.search\[0\]: expected one word/],
    [{ interfaces: Array.from({ length: 2000 }, () => ({})) }, /interfaces: expected a list of at most 1024/],
  ] as const)
    assert.throws(() => parseResult(raw, '1.0.0'), { name: 'JsonProblem', message });
});

test('parseResult, mutated: read or refused, never anything else', () => {
  for (const damaged of mutations(JSON.stringify(now), 5000, 3)) {
    let raw: JsonObject;
    try {
      raw = parseObject(damaged);
    } catch {
      continue;
    }
    for (const version of ['0.2.0', '1.0.0'] as const)
      try {
        parseResult(raw, version);
      } catch (error) {
        assert.ok(error instanceof JsonProblem, String(error));
      }
  }
});
