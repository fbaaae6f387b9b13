import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { findLink } from '../sys/netlink/links.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import { attach, detach } from './attach.ts';
import { canNet, Ground } from './_ground.suite.ts';
import {
  createNetwork,
  deleteNetworkRecord,
  findNetwork,
  findOrMakeNetwork,
  listNetworks,
  type NetworkWish,
} from './networks.ts';
import { lockNetworks } from './network-places.ts';
import { reloadNetworks } from './reload.ts';
import { removeNetwork } from './remove-network.ts';

const id = (digit: string): string => digit.repeat(64);

test('createNetwork: subnets that neither the machine nor another network has', canNet, async () => {
  using ground = new Ground();
  const { places } = ground;
  using _lock = await lockNetworks(places);
  ground.run(ground.machine, 'ip', 'route', 'add', '10.90.128.0/17', 'dev', 'eth0');
  ground.run(ground.machine, 'ip', 'route', 'add', '10.100.0.0/16', 'dev', 'eth0');
  assert.equal(findOrMakeNetwork(places, 'bridge').subnets[0]?.subnet, '10.91.0.0/16');
  assert.equal(findOrMakeNetwork(places, 'bridge').id, findNetwork(places, 'bridge').id);
  assert.deepEqual(createNetwork(places, { name: 'a' }).subnets, [{ subnet: '10.101.0.0/24', gateway: '10.101.0.1' }]);
  const b = createNetwork(places, { name: 'beta', ipv6: true });
  assert.equal(b.subnets[0]?.subnet, '10.101.1.0/24');
  assert.match(b.subnets[1]?.subnet ?? '', /^fd[0-9a-f]{2}:[0-9a-f]{1,4}:[0-9a-f]{1,4}::\/64$/);
  assert.match(b.bridge, /^tare[0-9a-f]{10}$/);
  const full = createNetwork(places, {
    name: 'c',
    subnets: [{ subnet: '10.7.3.9/16', gateway: '10.7.0.9', range: '10.7.9.0/24' }],
    bridge: 'br-c',
    internal: true,
    options: { mtu: '1400', masquerade: 'false' },
    labels: { a: 'b' },
  });
  assert.deepEqual(findNetwork(places, full.id.slice(0, 12)), full);
  assert.deepEqual(full.subnets, [{ subnet: '10.7.0.0/16', gateway: '10.7.0.9', range: '10.7.9.0/24' }]);
  assert.deepEqual(
    listNetworks(places).map(({ name }) => name),
    ['a', 'beta', 'bridge', 'c'],
  );
  const one = (wish: Partial<NetworkWish>): NetworkWish => ({ name: 'x', ...wish });
  for (const [wish, kind, message] of [
    [one({ name: 'a' }), 'already-exists', /^Cannot create network a: network a has that name$/],
    [one({ name: 'host' }), 'invalid', /it means something else/],
    [one({ name: '../x' }), 'invalid', /^Cannot use network name/],
    [one({ bridge: 'br-c' }), 'already-exists', /network c has interface br-c/],
    [one({ bridge: 'a/b' }), 'invalid', /^Cannot use interface name/],
    [one({ subnets: [{ subnet: '10.7.200.0/24' }] }), 'failed-precondition', /network c has 10\.7\.0\.0\/16/],
    [
      one({ subnets: [{ subnet: '192.0.0.0/8' }] }),
      'failed-precondition',
      /the machine has a route to 192\.0\.2\.0\/24/,
    ],
    [one({ subnets: [{ subnet: '10.8.0.0/31' }] }), 'invalid', /no room/],
    [one({ subnets: [{ subnet: '10.8.0.0/24', gateway: '10.9.0.1' }] }), 'invalid', /^Cannot use gateway 10\.9\.0\.1/],
    [
      one({ subnets: [{ subnet: '10.8.0.0/24', range: '10.9.0.0/25' }] }),
      'invalid',
      /^Cannot use range 10\.9\.0\.0\/25/,
    ],
    [one({ options: { mtu: '12' } }), 'invalid', /^Cannot use option mtu=12/],
    [one({ options: { isolate: 'yes' } }), 'invalid', /^Cannot use option isolate=yes/],
  ] as const)
    assert.throws(() => createNetwork(places, wish), { kind, message }, wish.name);
  assert.equal(listNetworks(places).length, 4);
  deleteNetworkRecord(places, b);
  deleteNetworkRecord(places, b);
  assert.throws(() => findNetwork(places, 'beta'), { kind: 'not-found' });
});

test('findNetwork: records that are none are said to be so', canNet, async () => {
  using ground = new Ground();
  using _lock = await lockNetworks(ground.places);
  const whole = createNetwork(ground.places, { name: 'a' });
  for (const [text, kind] of [
    ['{', 'internal'],
    ['null', 'internal'],
    ['[]', 'internal'],
    ['{"version":2}', 'unsupported'],
    [JSON.stringify({ ...whole, subnets: [] }), 'internal'],
    [JSON.stringify({ ...whole, subnets: [{ subnet: '10.0.0.0/8', gateway: 'x' }] }), 'invalid'],
  ] as const) {
    writeFileSync(join(ground.places.records, 'a.json'), text);
    assert.throws(() => findNetwork(ground.places, 'a'), { kind }, text);
  }
});

test(
  'ensureBridge: a subnet that the machine has a route to by now is refused, a foreign link too',
  canNet,
  async () => {
    using ground = new Ground();
    {
      using _lock = await lockNetworks(ground.places);
      createNetwork(ground.places, { name: 'a' });
      createNetwork(ground.places, { name: 'b', bridge: 'eth0' });
    }
    ground.run(ground.machine, 'ip', 'route', 'add', '10.100.0.128/25', 'dev', 'eth0');
    await assert.rejects(attach(ground.places, id('a'), ground.namespace(), [{ network: 'a' }]), {
      kind: 'failed-precondition',
      message: /^Cannot bring up network a: the machine has a route to 10\.100\.0\.128\/25 already/,
    });
    await assert.rejects(attach(ground.places, id('a'), ground.namespace(), [{ network: 'b' }]), {
      kind: 'failed-precondition',
      message: /^Cannot bring up network b: a link eth0 is there that is no bridge/,
    });
  },
);

test(
  'removeNetwork and reloadNetworks: only what nobody lives in goes; what others broke comes back',
  canNet,
  async () => {
    using ground = new Ground();
    const { places } = ground;
    {
      using _lock = await lockNetworks(places);
      createNetwork(places, { name: 'a' });
    }
    const network = findNetwork(places, 'a');
    const netns = ground.namespace();
    await attach(places, id('a'), netns, [{ network: 'a' }], [{ protocol: 'tcp', hostPort: 8080, port: 80 }]);
    await ground.serve(netns);
    await assert.rejects(removeNetwork(places, network), {
      kind: 'failed-precondition',
      message: /^Cannot remove network a: container aaaaaaaaaaaa is in it/,
    });
    ground.run(ground.machine, 'nft', 'flush', 'ruleset');
    ground.run(ground.machine, 'sh', '-c', 'echo 0 > /proc/sys/net/ipv4/ip_forward');
    await reloadNetworks(places);
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
    await detach(places, id('a'), { forget: false });
    await removeNetwork(places, network);
    await removeNetwork(places, network);
    using socket = NetlinkSocket.open('route', ground.machine);
    assert.equal(findLink(socket, network.bridge), undefined);
    assert.doesNotMatch(ground.run(ground.machine, 'nft', 'list', 'ruleset'), /from-|10\.100/);
  },
);
