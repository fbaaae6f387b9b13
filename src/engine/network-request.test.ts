import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CreateOptions } from './create-options.ts';
import { createEngine } from './engine.ts';
import { networkRequest, parseNetworkFlag } from './network-request.ts';
import { createNetwork, listCniNetworks } from './networks.ts';

const places = {
  root: '/none',
  runRoot: '/none',
  storageRoot: '/none',
  storageRunRoot: '/none',
  self: [],
};
const engine = createEngine(places);
const ofUser = createEngine({
  ...places,
  rootless: { uid: 1000, gid: 1000, holder: 0, dataHome: '/none', configHome: '/none', runtimeDir: '/none' },
});
const ask = (options: Partial<CreateOptions>): ReturnType<typeof networkRequest> =>
  networkRequest(engine, { source: 'host:', argv: [], ...options });

test('parseNetworkFlag: a name and what it is to be there', () => {
  assert.deepEqual(parseNetworkFlag('web'), { network: 'web' });
  assert.deepEqual(
    parseNetworkFlag('web:ip=10.0.0.5,ip6=fd00::5,mac=02:00:00:00:00:01,alias=a,alias=b,interface_name=net0'),
    {
      network: 'web',
      addresses: ['10.0.0.5', 'fd00::5'],
      mac: '02:00:00:00:00:01',
      aliases: ['a', 'b'],
      interface: 'net0',
    },
  );
  assert.deepEqual(parseNetworkFlag('cni:web'), { network: 'cni:web' });
  assert.deepEqual(parseNetworkFlag('cni:web:ip=10.0.0.5'), { network: 'cni:web', addresses: ['10.0.0.5'] });
  for (const text of [
    '',
    'cni:',
    'cni:a/b',
    'cni:web:',
    ':',
    'a b',
    'web:',
    'web:ip',
    'web:ip=x',
    'web:mac=1',
    'web:alias=',
    'web:x=1',
    'web:interface_name=a/b',
  ])
    assert.throws(() => parseNetworkFlag(text), { kind: 'invalid', message: /^Cannot use / }, text);
});

test('networkRequest: none and host ask for nothing, ports and addresses for the default network', () => {
  for (const network of [undefined, 'none', 'host', ['none']])
    assert.equal(ask(network === undefined ? {} : { network }), undefined);
  assert.deepEqual(ask({ publish: ['8080:80'] }), {
    mode: 'bridge',
    join: [{ network: 'bridge' }],
    publish: [{ protocol: 'tcp', hostPort: 8080, port: 80 }],
    publishAll: false,
  });
  assert.deepEqual(ask({ network: ['a', 'b:ip=10.0.0.5'] })?.join, [
    { network: 'a' },
    { network: 'b', addresses: ['10.0.0.5'] },
  ]);
  assert.deepEqual(
    ask({ network: 'a', ip: '10.0.0.5', ip6: 'fd00::5', macAddress: '02:00:00:00:00:01', networkAliases: ['x'] })?.join,
    [{ network: 'a', addresses: ['10.0.0.5', 'fd00::5'], mac: '02:00:00:00:00:01', aliases: ['x'] }],
  );
  assert.deepEqual(ask({ network: 'ns:/proc/self/ns/net' }), {
    mode: 'ns',
    join: [],
    publish: [],
    publishAll: false,
    of: '/proc/self/ns/net',
  });
});

test('networkRequest: what does not go together is refused', () => {
  for (const [options, kind] of [
    [{ network: ['none', 'web'] }, 'invalid'],
    [{ network: ['web', 'container:x'] }, 'invalid'],
    [{ network: 'none', publish: ['80'] }, 'invalid'],
    [{ network: 'host', publishAll: true }, 'invalid'],
    [{ network: 'host', ip: '10.0.0.1' }, 'invalid'],
    [{ network: 'ns:/proc/self/ns/net', publish: ['80'] }, 'invalid'],
    [{ network: 'ns:/nothing' }, 'not-found'],
    [{ network: 'container:nobody' }, 'not-found'],
    [{ network: ['a', 'b'], ip: '10.0.0.1' }, 'invalid'],
    [{ network: 'a', ip: 'fd00::1' }, 'invalid'],
    [{ network: 'a', macAddress: 'x' }, 'invalid'],
  ] as const)
    assert.throws(() => ask(options), { kind, message: /^Cannot / }, JSON.stringify(options));
});

test('CNI, macvlan and ipvlan are for root: where networks of users are, there is no link of the machine', async () => {
  assert.throws(() => networkRequest(ofUser, { source: 'host:', argv: [], network: ['bridge', 'cni:web'] }), {
    kind: 'unsupported',
    message: 'Cannot use --network cni:web: CNI plugins need root; use --network bridge',
  });
  for (const driver of ['macvlan', 'ipvlan'] as const)
    await assert.rejects(createNetwork(ofUser, { name: 'lan', driver, options: { parent: 'eth0' } }), {
      kind: 'unsupported',
      message: /^Cannot create network lan: driver (mac|ip)vlan needs root: /,
    });
  assert.deepEqual(await listCniNetworks(ofUser), []);
});
