import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attach, connect, detach, disconnect } from './attach.ts';
import { canNet, Ground } from './_ground.suite.ts';
import { leases } from './leases.ts';
import { lockNetworks } from './network-places.ts';
import { createNetwork, findNetwork, type NetworkWish } from './networks.ts';
import { reloadNetworks } from './reload.ts';
import { removeNetwork } from './remove-network.ts';

/** Some kernels are made without. */
function lacks(kind: 'macvlan' | 'ipvlan' | 'dummy'): string | false {
  if (canNet.skip !== false) return canNet.skip;
  using ground = new Ground();
  try {
    ground.run(
      ground.machine,
      'ip',
      'link',
      'add',
      ...(kind === 'dummy' ? [] : ['link', 'eth0']),
      'name',
      'try',
      'type',
      kind,
    );
    return false;
  } catch {
    return `cannot here: this kernel has no ${kind}`;
  }
}
const canMacvlan = { skip: lacks('macvlan') };
const canDummy = { skip: canMacvlan.skip || lacks('dummy') };
const canIpvlan = { skip: lacks('ipvlan') };

const id = (digit: string): string => digit.repeat(64);

async function create(ground: Ground, wish: NetworkWish): Promise<ReturnType<typeof createNetwork>> {
  using _lock = await lockNetworks(ground.places);
  return createNetwork(ground.places, wish);
}

/** The network that the machine is in itself: 192.0.2.1 is the router. */
const lan = {
  name: 'lan',
  driver: 'macvlan',
  subnets: [
    { subnet: '192.0.2.0/24', gateway: '192.0.2.1' },
    { subnet: 'fd01::/64', gateway: 'fd01::1' },
  ],
  options: { parent: 'eth0' },
} as const;

const addressOf = ({ networks }: Awaited<ReturnType<typeof attach>>, at = 0): string | undefined =>
  networks[at]?.addresses[0]?.address;

test(
  'macvlan: containers are in the network of their parent, with their own addresses, not the machine',
  canMacvlan,
  async () => {
    using ground = new Ground();
    const network = await create(ground, lan);
    assert.deepEqual([network.driver, network.bridge, network.options], ['macvlan', 'eth0', { parent: 'eth0' }]);
    const [a, b] = [ground.namespace(), ground.namespace()];
    // .1 is the router's, .2 the machine's.
    const first = await attach(ground.places, id('a'), a, [{ network: 'lan' }]);
    assert.equal(addressOf(first), '192.0.2.3');
    assert.match(first.networks[0]?.mac ?? '', /^02:74:/);
    const wish = { network: 'lan', addresses: ['192.0.2.77'], mac: '02:00:00:00:00:07' };
    assert.equal(addressOf(await attach(ground.places, id('b'), b, [wish])), '192.0.2.77');
    for (const netns of [a, ground.outside]) await ground.serve(netns);
    assert.equal(ground.ask(b, '192.0.2.1'), '192.0.2.77');
    assert.equal(ground.ask(b, 'fd01::1'), 'fd01::4');
    assert.equal(ground.ask(b, '192.0.2.3'), '192.0.2.77');
    assert.equal(ground.ask(ground.outside, '192.0.2.3'), '192.0.2.1');
    assert.match(ground.run(b, 'ip', 'link', 'show', 'eth0'), /02:00:00:00:00:07/);
    assert.match(ground.run(b, 'ip', 'route'), /^default via 192\.0\.2\.1 dev eth0/m);
    await assert.rejects(
      attach(ground.places, id('c'), ground.namespace(), [{ network: 'lan', addresses: ['192.0.2.2'] }]),
      {
        kind: 'already-exists',
        message: "Cannot give address 192.0.2.2: it is the machine's own",
      },
    );
    await detach(ground.places, id('a'), { forget: false });
    assert.deepEqual([...leases(ground.places, network.id).keys()].sort(), ['192.0.2.77', 'fd01::4']);
    assert.equal(
      addressOf(await attach(ground.places, id('a'), ground.namespace(), [{ network: 'lan' }])),
      '192.0.2.3',
    );
    await assert.rejects(removeNetwork(ground.places, network), { kind: 'failed-precondition' });
    for (const digit of ['a', 'b']) await detach(ground.places, id(digit), { forget: true });
    await removeNetwork(ground.places, network);
    // The parent is not ours.
    assert.equal(ground.ask(ground.machine, '192.0.2.1'), '192.0.2.2');
  },
);

test(
  'macvlan: ports are refused, and go by a bridge where there is one; connect and disconnect',
  canMacvlan,
  async () => {
    using ground = new Ground();
    const network = await create(ground, lan);
    await create(ground, { name: 'web' });
    const ports = [{ protocol: 'tcp', hostPort: 8080, port: 80 }] as const;
    await assert.rejects(attach(ground.places, id('a'), ground.namespace(), [{ network: 'lan' }], ports), {
      kind: 'failed-precondition',
      message: /^Cannot publish ports: containers of network lan are reached at their own addresses, /,
    });
    assert.equal(leases(ground.places, network.id).size, 0);
    const a = ground.namespace();
    await attach(ground.places, id('a'), a, [{ network: 'web' }], ports);
    await connect(ground.places, id('a'), a, { network: 'lan' });
    await ground.serve(a);
    await ground.serve(ground.outside);
    assert.match(ground.ask(ground.machine, '127.0.0.1', 8080), /^10\.100\.0\./);
    // The one that could not be had .3: addresses rest.
    assert.equal(ground.ask(a, '192.0.2.1'), '192.0.2.4');
    await assert.rejects(connect(ground.places, id('a'), a, { network: 'lan' }), { kind: 'already-exists' });
    await disconnect(ground.places, id('a'), a, network);
    assert.doesNotMatch(ground.run(a, 'ip', 'link'), /eth1/);
    assert.equal(ground.ask(a, '192.0.2.1'), '192.0.2.2');
    await assert.rejects(connect(ground.places, id('a'), a, { network: 'lan', interface: 'eth0' }), {
      kind: 'already-exists',
    });
    assert.match(ground.run(a, 'ip', 'link'), /eth0/);
    await reloadNetworks(ground.places);
  },
);

test('macvlan: what is wrong with the parent is said before anything is made', canMacvlan, async () => {
  using ground = new Ground();
  const run = (...argv: string[]): string => ground.run(ground.machine, 'ip', ...argv);
  for (const [wish, kind, message] of [
    [
      { ...lan, options: {} },
      'invalid',
      /say which link of this machine its containers share \(-o parent=LINK\), or that they have no way out/,
    ],
    [{ ...lan, subnets: [] }, 'invalid', /say which addresses it has .*; addresses by DHCP are not supported$/],
    [{ ...lan, options: { parent: 'eth7' } }, 'failed-precondition', /its parent eth7 is no link of this machine/],
    [
      { ...lan, options: { parent: 'eth0', mode: 'l2' } },
      'invalid',
      /^Cannot use option mode=l2: expected mtu=.*mode=bridge, private, vepa, passthru$/,
    ],
    [{ ...lan, options: { parent: 'eth0', masquerade: 'false' } }, 'invalid', /^Cannot use option masquerade=false/],
    [{ ...lan, options: { parent: 'a/b' } }, 'invalid', /^Cannot use option parent=a\/b/],
    [
      { ...lan, driver: 'overlay' as 'macvlan' },
      'invalid',
      /^Cannot use driver overlay: there are bridge, macvlan, ipvlan$/,
    ],
  ] as const)
    await assert.rejects(create(ground, wish), { kind, message }, JSON.stringify(wish));
  run('link', 'add', 'br0', 'type', 'bridge');
  run('link', 'add', 'dum0', 'master', 'br0', 'type', 'veth', 'peer', 'name', 'dum2');
  run('link', 'add', 'dum1', 'type', 'veth', 'peer', 'name', 'dum3');
  const on = (parent: string): NetworkWish => ({ ...lan, options: { parent } });
  await assert.rejects(create(ground, on('dum0')), {
    message: /its parent dum0 is a port of br0; make a network with -o parent=br0$/,
  });
  await assert.rejects(create(ground, on('dum1')), { message: /its parent dum1 is down \(ip link set dum1 up\)$/ });
  run('link', 'set', 'dum1', 'up');
  const network = await create(ground, on('dum1'));
  await assert.rejects(create(ground, { name: 'same', bridge: 'dum1' }), { kind: 'already-exists' });
  // It goes while a container is in it: its link goes with it, and the next one is told.
  await attach(ground.places, id('a'), ground.namespace(), [{ network: 'lan' }]);
  run('link', 'del', 'dum1');
  await assert.rejects(attach(ground.places, id('b'), ground.namespace(), [{ network: 'lan' }]), {
    kind: 'failed-precondition',
    message: 'Cannot bring up network lan: its parent dum1 is no link of this machine (any more)',
  });
  await detach(ground.places, id('a'), { forget: true });
  assert.equal(leases(ground.places, network.id).size, 0);
  await removeNetwork(ground.places, network);
  // One container has all of a parent, and no two drivers share one.
  await create(ground, { ...lan, options: { parent: 'eth0', mode: 'passthru' } });
  await attach(ground.places, id('a'), ground.namespace(), [{ network: 'lan' }]);
  await assert.rejects(attach(ground.places, id('b'), ground.namespace(), [{ network: 'lan' }]), {
    kind: 'failed-precondition',
    message: /its parent eth0 takes no macvlan link: passthru gives it to one container/,
  });
});

test('macvlan: without a parent a network that leads nowhere', canDummy, async () => {
  using ground = new Ground();
  const network = await create(ground, { name: 'inner', driver: 'macvlan', internal: true });
  const [a, b] = [ground.namespace(), ground.namespace()];
  const first = addressOf(await attach(ground.places, id('a'), a, [{ network: 'inner' }])) ?? '';
  const second = addressOf(await attach(ground.places, id('b'), b, [{ network: 'inner' }]));
  await ground.serve(a);
  assert.equal(ground.ask(b, first), second);
  assert.equal(ground.run(b, 'ip', 'route', 'show', 'default'), '');
  assert.match(ground.run(ground.machine, 'ip', '-d', 'link', 'show', network.bridge), /dummy/);
  for (const digit of ['a', 'b']) await detach(ground.places, id(digit), { forget: true });
  await removeNetwork(ground.places, network);
  assert.doesNotMatch(ground.run(ground.machine, 'ip', '-br', 'link'), /tare/);
});

test(
  'ipvlan: l2 in the network of the parent, with its hardware address; l3 routed by the machine',
  canIpvlan,
  async () => {
    using ground = new Ground();
    await create(ground, { ...lan, driver: 'ipvlan', options: { parent: 'eth0', ipvlan_mode: 'l2' } });
    assert.deepEqual(findNetwork(ground.places, 'lan').options, { parent: 'eth0', mode: 'l2' });
    const a = ground.namespace();
    const first = await attach(ground.places, id('a'), a, [{ network: 'lan' }]);
    const [, parentMac] = /link\/ether (\S+)/.exec(ground.run(ground.machine, 'ip', 'link', 'show', 'eth0')) ?? [];
    assert.deepEqual([addressOf(first), first.networks[0]?.mac], ['192.0.2.3', parentMac]);
    await ground.serve(ground.outside);
    assert.equal(ground.ask(a, '192.0.2.1'), '192.0.2.3');
    await assert.rejects(
      attach(ground.places, id('b'), ground.namespace(), [{ network: 'lan', mac: '02:00:00:00:00:07' }]),
      {
        kind: 'invalid',
        message: /links of ipvlan network lan have their parent's$/,
      },
    );
    await detach(ground.places, id('a'), { forget: true });
    a.close();
    await removeNetwork(ground.places, findNetwork(ground.places, 'lan'));
    await create(ground, {
      name: 'far',
      driver: 'ipvlan',
      subnets: [{ subnet: '10.60.0.0/24' }],
      options: { parent: 'eth0', mode: 'l3' },
    });
    const b = ground.namespace();
    const far = addressOf(await attach(ground.places, id('b'), b, [{ network: 'far' }])) ?? '';
    // Nobody there answers who asks for their hardware addresses: neighbours have to know the way.
    ground.run(ground.outside, 'ip', 'route', 'add', '10.60.0.0/24', 'via', '192.0.2.2');
    assert.match(ground.run(b, 'ip', 'route'), /^default dev eth0/m);
    assert.equal(ground.ask(b, '192.0.2.1'), far);
  },
);
