import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needs } from '../../test/support/needs.ts';
import { attach, detach } from './attach.ts';
import { canNet, Ground } from './_ground.suite.ts';
import { lockNetworks } from './network-places.ts';
import { createNetwork, type NetworkWish } from './networks.ts';
import { reloadNetworks } from './reload.ts';
import { removeNetwork } from './remove-network.ts';

const can = { skip: canNet.skip || needs.program('iptables', 'ip6tables') };
const id = (digit: string): string => digit.repeat(64);

/** A machine on which somebody has iptables. */
class Guarded extends Ground {
  iptables(...args: string[]): string {
    return this.run(this.machine, 'iptables', ...args);
  }

  ip6tables(...args: string[]): string {
    return this.run(this.machine, 'ip6tables', ...args);
  }

  /** Rules of FORWARD, as iptables prints them. */
  get rules(): string[] {
    return this.iptables('-S', 'FORWARD').trim().split('\n');
  }

  async create(wish: NetworkWish): Promise<ReturnType<typeof createNetwork>> {
    using _lock = await lockNetworks(this.places);
    return createNetwork(this.places, wish);
  }
}

const port = { protocol: 'tcp', hostPort: 8080, port: 80 } as const;

test(
  'a forward policy of drop, as docker and ufw set it: our networks pass, by rules that iptables understands',
  can,
  async () => {
    using ground = new Guarded();
    const network = await ground.create({ name: 'web', ipv6: true });
    const { bridge } = network;
    ground.iptables('-P', 'FORWARD', 'DROP');
    ground.ip6tables('-P', 'FORWARD', 'DROP');
    ground.iptables('-N', 'DOCKER-USER');
    ground.iptables('-A', 'FORWARD', '-j', 'DOCKER-USER');
    const [a, b] = [ground.namespace(), ground.namespace()];
    await attach(ground.places, id('a'), a, [{ network: 'web' }], [port]);
    await attach(ground.places, id('b'), b, [{ network: 'web' }]);
    for (const netns of [a, ground.outside]) await ground.serve(netns);
    assert.equal(ground.ask(a, '192.0.2.1'), '192.0.2.2');
    assert.equal(ground.ask(a, 'fd01::1'), 'fd01::2');
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
    assert.equal(ground.ask(ground.outside, 'fd01::2', 8080), 'fd01::1');
    const ours = ['-i', '-o'].map(
      (side) => `-A FORWARD ${side} ${bridge} -m comment --comment "tare network ${bridge}" -j ACCEPT`,
    );
    // Once, and behind what others have.
    assert.deepEqual(ground.rules, ['-P FORWARD DROP', '-A FORWARD -j DOCKER-USER', ...ours]);
    assert.equal(ground.ip6tables('-S', 'FORWARD').trim(), ['-P FORWARD DROP', ...ours].join('\n'));
    // What is saved can be loaded again.
    const saved = ground.run(ground.machine, 'iptables-save', '-t', 'filter');
    ground.run(ground.machine, 'sh', '-c', `iptables-restore <<'EOF'\n${saved}\nEOF`);
    assert.deepEqual(ground.rules.slice(2), ours);
    // A rule of the administrator's comes first.
    ground.iptables('-A', 'DOCKER-USER', '-i', bridge, '-d', '192.0.2.1', '-j', 'DROP');
    assert.equal(ground.ask(b, '192.0.2.1', 80, 'tcp', 0.5), 'no: TimeoutError');
    ground.iptables('-F', 'DOCKER-USER');
    // Nobody gets in from outside that was not sent here.
    ground.run(ground.outside, 'ip', 'route', 'add', network.subnets[0]?.subnet ?? '', 'via', '192.0.2.2');
    assert.equal(
      ground.ask(ground.outside, network.subnets[0]?.gateway.replace(/1$/, '2') ?? '', 80, 'tcp', 0.5),
      'no: TimeoutError',
    );
    // Somebody flushes it.
    ground.iptables('-F', 'FORWARD');
    assert.equal(ground.ask(a, '192.0.2.1', 80, 'tcp', 0.5), 'no: TimeoutError');
    await reloadNetworks(ground.places);
    assert.equal(ground.ask(a, '192.0.2.1'), '192.0.2.2');
    assert.deepEqual(ground.rules, ['-P FORWARD DROP', ...ours]);
    ground.iptables(
      '-D',
      'FORWARD',
      '-i',
      bridge,
      '-m',
      'comment',
      '--comment',
      `tare network ${bridge}`,
      '-j',
      'ACCEPT',
    );
    // One of the two is not enough.
    await detach(ground.places, id('b'), { forget: false });
    await attach(ground.places, id('b'), ground.namespace(), [{ network: 'web' }]);
    assert.deepEqual(ground.rules, ['-P FORWARD DROP', ...ours]);
    await ground.create({ name: 'other' });
    await attach(ground.places, id('c'), ground.namespace(), [{ network: 'other' }]);
    for (const digit of ['a', 'b', 'c']) await detach(ground.places, id(digit), { forget: true });
    ground.iptables('-P', 'FORWARD', 'ACCEPT');
    await removeNetwork(ground.places, network);
    assert.deepEqual(
      ground.rules.filter((rule) => rule.includes(bridge)),
      [],
    );
    assert.equal(ground.rules.length, 3);
    await removeNetwork(ground.places, network);
  },
);

test('no policy of drop: nothing of others is touched', can, async () => {
  using ground = new Guarded();
  await ground.create({ name: 'web' });
  ground.iptables('-A', 'FORWARD', '-d', '192.0.2.9', '-j', 'DROP');
  const before = ground.rules;
  await attach(ground.places, id('a'), ground.namespace(), [{ network: 'web' }]);
  assert.deepEqual(ground.rules, before);
  // An administrator's own table is theirs, whatever it is called.
  ground.run(
    ground.machine,
    'nft',
    'add table inet filter; add chain inet filter forward { type filter hook forward priority 0; policy drop; }',
  );
  await reloadNetworks(ground.places);
  assert.doesNotMatch(ground.run(ground.machine, 'nft', 'list', 'table', 'inet', 'filter'), /tare/);
});
