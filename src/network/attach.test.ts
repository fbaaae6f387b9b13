import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { links } from '../sys/netlink/links.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import { attach, connect, detach, disconnect } from './attach.ts';
import { readAttachment } from './attachment.ts';
import { canNet, Ground } from './_ground.suite.ts';
import { Firewall } from './firewall.ts';
import { leases } from './leases.ts';
import { createNetwork, findNetwork, type NetworkWish } from './networks.ts';
import { lockNetworks } from './network-places.ts';

async function create(ground: Ground, wish: NetworkWish): Promise<ReturnType<typeof createNetwork>> {
  using _lock = await lockNetworks(ground.places);
  return createNetwork(ground.places, wish);
}

const id = (digit: string): string => digit.repeat(64);
const addressesOf = (attachment: { networks: readonly { addresses: readonly { address: string }[] }[] }): string[] =>
  attachment.networks.flatMap(({ addresses }) => addresses.map(({ address }) => address));
const veths = (ground: Ground): string[] => {
  using socket = NetlinkSocket.open('route', ground.machine);
  return links(socket)
    .filter(({ kind, name }) => kind === 'veth' && name !== 'eth0')
    .map(({ name }) => name);
};

test(
  'attach: containers of a network reach each other, the machine and the outside, with the right addresses',
  canNet,
  async () => {
    using ground = new Ground();
    await create(ground, { name: 'web', ipv6: true, subnets: [{ subnet: '10.100.0.0/24' }, { subnet: 'fd02::/64' }] });
    const [a, b] = [ground.namespace(), ground.namespace()];
    const first = await attach(ground.places, id('a'), a, [{ network: 'web' }]);
    const second = await attach(ground.places, id('b'), b, [{ network: 'web', mac: '02:00:00:00:00:07' }]);
    assert.deepEqual(addressesOf(first), ['10.100.0.2', 'fd02::2']);
    assert.deepEqual(addressesOf(second), ['10.100.0.3', 'fd02::3']);
    assert.equal(first.networks[0]?.mac, '02:74:0a:64:00:02');
    for (const netns of [a, b, ground.machine, ground.outside]) await ground.serve(netns);
    assert.equal(ground.ask(b, '10.100.0.2'), '10.100.0.3');
    assert.equal(ground.ask(b, 'fd02::2'), 'fd02::3');
    assert.equal(ground.ask(b, '10.100.0.2', 53, 'udp'), '10.100.0.3');
    assert.equal(ground.ask(ground.machine, '10.100.0.2'), '10.100.0.1');
    assert.equal(ground.ask(a, '10.100.0.1'), '10.100.0.2');
    assert.equal(ground.ask(a, '192.0.2.1'), '192.0.2.2');
    assert.equal(ground.ask(a, 'fd01::1'), 'fd01::2');
    assert.match(ground.run(b, 'ip', 'link', 'show', 'eth0'), /02:00:00:00:00:07/);
    // Nobody gets in from outside that was not sent here, whatever routes they have.
    ground.run(ground.outside, 'ip', 'route', 'add', '10.100.0.0/24', 'via', '192.0.2.2');
    assert.equal(ground.ask(ground.outside, '10.100.0.2', 80, 'tcp', 0.5), 'no: TimeoutError');
  },
);

test('attach: no way from one network into another, nor out of an internal one', canNet, async () => {
  using ground = new Ground();
  for (const [name, internal] of [
    ['one', false],
    ['two', false],
    ['inner', true],
  ] as const)
    await create(ground, { name, internal });
  const [a, b, c] = [ground.namespace(), ground.namespace(), ground.namespace()];
  await attach(ground.places, id('a'), a, [{ network: 'one' }]);
  const two = addressesOf(await attach(ground.places, id('b'), b, [{ network: 'two' }]))[0] ?? '';
  const inner = addressesOf(await attach(ground.places, id('c'), c, [{ network: 'inner' }]))[0] ?? '';
  for (const netns of [b, c, ground.outside]) await ground.serve(netns);
  assert.equal(ground.ask(a, two, 80, 'tcp', 0.5), 'no: TimeoutError');
  assert.equal(ground.ask(a, inner, 80, 'tcp', 0.5), 'no: TimeoutError');
  assert.match(ground.ask(c, '192.0.2.1', 80, 'tcp', 0.5), /^no: /);
  ground.run(c, 'ip', 'route', 'add', 'default', 'dev', 'eth0');
  assert.match(ground.ask(c, '192.0.2.1', 80, 'tcp', 0.5), /^no: /);
  assert.equal(ground.ask(ground.machine, inner), findNetwork(ground.places, 'inner').subnets[0]?.gateway);
});

test(
  'attach: published ports are reached from everywhere, the client keeps its address, nothing else is open',
  canNet,
  async () => {
    using ground = new Ground();
    await create(ground, { name: 'web', ipv6: true });
    await create(ground, { name: 'other' });
    const [a, b, c] = [ground.namespace(), ground.namespace(), ground.namespace()];
    const ports = [
      { protocol: 'tcp', hostPort: 8080, port: 80 },
      { protocol: 'udp', hostPort: 5353, port: 53 },
      { protocol: 'tcp', hostAddress: '192.0.2.2', hostPort: 8081, port: 80 },
      { protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8082, port: 80 },
    ] as const;
    await attach(ground.places, id('a'), a, [{ network: 'web' }], ports);
    await attach(ground.places, id('b'), b, [{ network: 'other' }]);
    const [neighbour] = addressesOf(await attach(ground.places, id('c'), c, [{ network: 'web' }]));
    await ground.serve(a);
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 5353, 'udp'), '192.0.2.1');
    assert.equal(ground.ask(ground.outside, 'fd01::2', 8080), 'fd01::1');
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8081), '192.0.2.1');
    assert.equal(ground.ask(ground.outside, 'fd01::2', 8081), 'no: ConnectionRefusedError');
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8082), 'no: ConnectionRefusedError');
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 80), 'no: ConnectionRefusedError');
    // The machine itself, also by 127.0.0.1.
    const gateway = findNetwork(ground.places, 'web').subnets[0]?.gateway ?? '';
    for (const port of [8080, 8082]) assert.equal(ground.ask(ground.machine, '127.0.0.1', port), gateway);
    assert.equal(ground.ask(ground.machine, '192.0.2.2', 8080), '192.0.2.2');
    assert.equal(ground.ask(ground.machine, 'fd01::2', 8080), 'fd01::2');
    // Another network's container, by the machine's address; its own network's, and itself (hairpin).
    assert.match(ground.ask(b, '192.0.2.2', 8080), /^10\./);
    assert.equal(ground.ask(c, '192.0.2.2', 8080), gateway);
    assert.equal(ground.ask(a, '192.0.2.2', 8080), gateway);
    assert.notEqual(neighbour, undefined);
    // What is the machine's own on 127.0.0.1 stays so, though bridges route it.
    await ground.serve(ground.machine);
    ground.run(c, 'ip', 'route', 'add', '127.0.0.1/32', 'via', gateway, 'table', '99');
    ground.run(c, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet');
    ground.run(
      c,
      'sh',
      '-c',
      `ip rule add to 127.0.0.0/8 lookup 99 pref 0; ip rule del pref 0 lookup local; ip rule add pref 1 lookup local`,
    );
    assert.match(ground.ask(c, '127.0.0.1', 80, 'tcp', 0.5), /^no: /);
  },
);

test(
  'attach: a port or address that another container has is refused, and nothing is left; a dead one gives it up',
  canNet,
  async () => {
    using ground = new Ground();
    await create(ground, { name: 'web' });
    const ports = [{ protocol: 'tcp', hostPort: 8080, port: 80 }] as const;
    const dying = ground.namespace();
    const first = await attach(ground.places, id('a'), dying, [{ network: 'web' }], ports);
    const before = veths(ground);
    const [taken = ''] = addressesOf(first);
    const failing = ground.namespace();
    await assert.rejects(attach(ground.places, id('b'), failing, [{ network: 'web' }], ports), {
      kind: 'already-exists',
      message: /^Cannot publish 0\.0\.0\.0:8080\/tcp: container aaaaaaaaaaaa has it$/,
    });
    const same = [{ network: 'web', addresses: [taken] }];
    await assert.rejects(attach(ground.places, id('b'), ground.namespace(), same), {
      kind: 'already-exists',
      message: `Cannot give address ${taken}: container aaaaaaaaaaaa has it`,
    });
    failing.close();
    await ground.links(before.length);
    assert.deepEqual(veths(ground), before);
    assert.equal(readAttachment(ground.places, id('b')), undefined);
    assert.deepEqual([...leases(ground.places, findNetwork(ground.places, 'web').id)], [[taken, id('a')]]);
    ground.dead.add(id('a'));
    dying.close();
    const b = ground.namespace();
    assert.deepEqual(addressesOf(await attach(ground.places, id('b'), b, same, ports)), [taken]);
    await ground.serve(b);
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
    for (const [wish, message] of [
      [{ network: 'nothing' }, /^Cannot find network nothing: no such network$/],
      [
        { network: 'web', addresses: ['10.99.0.1'] },
        /^Cannot give address 10\.99\.0\.1: it is not in 10\.100\.0\.0\/24$/,
      ],
      [{ network: 'web', addresses: ['10.100.0.1'] }, /^Cannot give address 10\.100\.0\.1: no container can have it$/],
      [{ network: 'web', addresses: ['fd00::5'] }, /network web has no IPv6 subnet$/],
      [{ network: 'web', aliases: ['a\n10.0.0.1 b'] }, /^Cannot use alias "a\\n10\.0\.0\.1 b"/],
      [{ network: 'web', mac: '01:00:00:00:00:00' }, /^Cannot use hardware address/],
      [{ network: 'web', interface: 'much-too-long-for-it' }, /^Cannot add link/],
    ] as const)
      await assert.rejects(attach(ground.places, id('c'), ground.namespace(), [wish]), { message });
    await ground.links(1);
  },
);

test('detach: links, rules and leases are gone; the next start gets the same address', canNet, async () => {
  using ground = new Ground();
  await create(ground, { name: 'web' });
  const wish = [{ network: 'web' }];
  const ports = [{ protocol: 'tcp', hostPort: 8080, port: 80 }] as const;
  const a = ground.namespace();
  const [mine] = addressesOf(await attach(ground.places, id('a'), a, wish, ports));
  a.close();
  await attach(ground.places, id('b'), ground.namespace(), wish);
  await detach(ground.places, id('a'), { forget: false });
  await detach(ground.places, id('a'), { forget: false });
  await ground.links(1);
  using firewall = new Firewall('tare', ground.machine);
  assert.deepEqual([...firewall.publishers()], []);
  assert.deepEqual(addressesOf(await attach(ground.places, id('a'), ground.namespace(), wish, ports)), [mine]);
  await detach(ground.places, id('a'), { forget: true });
  assert.equal(readAttachment(ground.places, id('a')), undefined);
  assert.deepEqual(readdirSync(join(ground.places.run, 'attached')), [id('b')]);
  // Others come before it is that address's turn again.
  assert.deepEqual(addressesOf(await attach(ground.places, id('c'), ground.namespace(), wish)), ['10.100.0.4']);
});

test('attach: networks live again after nft flush ruleset, ports of others too', canNet, async () => {
  using ground = new Ground();
  await create(ground, { name: 'web' });
  const ports = [{ protocol: 'tcp', hostPort: 8080, port: 80 }] as const;
  const a = ground.namespace();
  await attach(ground.places, id('a'), a, [{ network: 'web' }], ports);
  await ground.serve(a);
  ground.run(ground.machine, 'nft', 'flush', 'ruleset');
  assert.match(ground.ask(ground.outside, '192.0.2.2', 8080), /^no: /);
  await attach(ground.places, id('b'), ground.namespace(), [{ network: 'web' }]);
  assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
});

test('connect and disconnect: a network more for one that runs, and less', canNet, async () => {
  using ground = new Ground();
  const inner = await create(ground, { name: 'inner', internal: true });
  const web = await create(ground, { name: 'web' });
  const a = ground.namespace();
  await attach(ground.places, id('a'), a, [{ network: 'inner' }]);
  await ground.serve(ground.outside);
  assert.match(ground.ask(a, '192.0.2.1', 80, 'tcp', 0.5), /^no: /);
  const joined = await connect(ground.places, id('a'), a, { network: 'web', aliases: ['x'] });
  assert.equal(joined.networks.at(-1)?.interface, 'eth1');
  assert.equal(ground.ask(a, '192.0.2.1'), '192.0.2.2');
  await assert.rejects(connect(ground.places, id('a'), a, { network: 'web' }), { kind: 'already-exists' });
  await disconnect(ground.places, id('a'), a, web);
  await assert.rejects(disconnect(ground.places, id('a'), a, web), { kind: 'not-found' });
  assert.match(ground.ask(a, '192.0.2.1', 80, 'tcp', 0.5), /^no: /);
  assert.deepEqual([...leases(ground.places, web.id)], []);
  await disconnect(ground.places, id('a'), a, inner);
  assert.deepEqual(veths(ground), []);
});

test('detach: links of a namespace that somebody else keeps alive are deleted a little later', canNet, async () => {
  using ground = new Ground();
  await create(ground, { name: 'web' });
  const kept = ground.namespace();
  await attach(ground.places, id('a'), kept, [{ network: 'web' }]);
  await detach(ground.places, id('a'), { forget: true });
  const b = ground.namespace();
  await attach(ground.places, id('b'), b, [{ network: 'web' }]);
  assert.equal(veths(ground).length, 2);
  await sleep(1100);
  await attach(ground.places, id('c'), ground.namespace(), [{ network: 'web' }]);
  assert.equal(veths(ground).length, 2);
  assert.deepEqual(readdirSync(join(ground.places.run, 'dying')), []);
});
