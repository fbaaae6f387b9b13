import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { needs } from '../../test/support/needs.ts';
import { parseAddress, parseSubnet } from '../spec/ip.ts';
import type { Fd } from '../sys/fd.ts';
import { networkNamespace } from '../sys/network-namespace.ts';
import { Firewall, type FirewallContents, isTaken, type NetworkRules, type PortRule } from './firewall.ts';

const asRoot = { skip: needs.root() || needs.program('nft', 'nsenter') };

function nft(netns: Fd, args: readonly string[], input?: string): string {
  const fd = `--net=/proc/${process.pid}/fd/${netns.number}`;
  return execFileSync('nsenter', [fd, 'nft', ...args], { encoding: 'utf8', ...(input === undefined ? {} : { input }) });
}

/** The table as nft(8) reads it from the kernel, without handles and in an order of its own. */
function listed(netns: Fd): unknown[] {
  const { nftables } = JSON.parse(nft(netns, ['-j', 'list', 'ruleset'])) as { nftables: Record<string, object>[] };
  return nftables
    .filter((item) => !('metainfo' in item))
    .map((item) => JSON.stringify(item, (key, value: unknown) => (key === 'handle' ? undefined : value)))
    .sort((a, b) => (a < b ? -1 : 1))
    .map((line) => JSON.parse(line) as unknown);
}

const web: NetworkRules = {
  bridge: 'tare0',
  subnets: [parseSubnet('10.90.0.0/16'), parseSubnet('fd00:90::/64')],
  internal: false,
  masquerade: true,
};
const back: NetworkRules = {
  bridge: 'tare1',
  subnets: [parseSubnet('10.100.0.0/24')],
  internal: true,
  masquerade: false,
};
const port = (more: Partial<PortRule>): PortRule => ({
  container: 'abc',
  protocol: 'tcp',
  hostPort: 8080,
  address: parseAddress('10.90.0.2'),
  port: 80,
  ...more,
});
const ports: PortRule[] = [
  port({}),
  port({ address: parseAddress('fd00:90::2') }),
  port({ container: 'def', protocol: 'udp', hostPort: 53, hostAddress: parseAddress('192.0.2.2'), port: 5353 }),
  port({
    container: 'def',
    protocol: 'sctp',
    hostPort: 9,
    hostAddress: parseAddress('fd00::7'),
    address: parseAddress('fd00:90::3'),
  }),
];

/** What it should be, written by a person. */
const written = `
table inet tare {
  comment "tare networks 3"
  set bridges { type ifname; elements = { "tare0", "tare1" } }
  set internal { type ifname; elements = { "tare1" } }
  set within { type ifname . ifname; elements = { "tare0" . "tare0", "tare1" . "tare1" } }
  map source4 {
    type ipv4_addr : verdict; flags interval
    elements = { 10.90.0.0/16 : jump from-tare0, 10.100.0.0/24 : jump from-tare1 }
  }
  map source6 { type ipv6_addr : verdict; flags interval; elements = { fd00:90::/64 : jump from-tare0 } }
  map ports4 {
    type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
    elements = { 192.0.2.2 . udp . 53 comment "def" : 10.90.0.2 . 5353 }
  }
  map any4 {
    type inet_proto . inet_service : ipv4_addr . inet_service
    elements = { tcp . 8080 comment "abc" : 10.90.0.2 . 80 }
  }
  map ports6 {
    type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service
    elements = { fd00::7 . sctp . 9 comment "def" : fd00:90::3 . 80 }
  }
  map any6 {
    type inet_proto . inet_service : ipv6_addr . inet_service
    elements = { tcp . 8080 comment "abc" : fd00:90::2 . 80 }
  }
  map egress4 { type ipv4_addr : verdict; }
  map egress6 { type ipv6_addr : verdict; }
  set reach4 { type ipv4_addr . ipv4_addr . inet_service; size 65536; flags timeout; }
  set reach6 { type ipv6_addr . ipv6_addr . inet_service; size 65536; flags timeout; }
  chain egress {
    ip saddr vmap @egress4
    ip6 saddr vmap @egress6
  }
  chain input {
    type filter hook input priority filter; policy accept;
    ct state established,related accept
    jump egress
  }
  chain guard {
    type filter hook prerouting priority raw; policy accept;
    iifname @bridges ip saddr 127.0.0.0/8 drop
    iifname @bridges ip daddr 127.0.0.0/8 drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ct state established,related accept
    jump egress
    iifname . oifname @within accept
    iifname @internal drop
    oifname @internal drop
    ct status dnat accept
    oifname @bridges drop
  }
  chain publish {
    meta nfproto ipv4 dnat ip to ip daddr . meta l4proto . th dport map @ports4
    meta nfproto ipv4 dnat ip to meta l4proto . th dport map @any4
    ip6 daddr ::1 return
    meta nfproto ipv6 dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports6
    meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @any6
  }
  chain prerouting { type nat hook prerouting priority dstnat; policy accept; fib daddr type local jump publish; }
  chain output { type nat hook output priority -100; policy accept; fib daddr type local jump publish; }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 127.0.0.0/8 oifname @bridges masquerade
    ip saddr vmap @source4
    ip6 saddr vmap @source6
  }
  chain from-tare0 { oifname "tare0" ct status dnat masquerade; oifname @bridges return; masquerade; }
  chain from-tare1 { oifname "tare1" ct status dnat masquerade; oifname @bridges return; }
}
`;

const everything: FirewallContents = { networks: [web, back], ports };
const never = (): FirewallContents => assert.fail('it is whole');

test('Firewall: what it makes is what a person would have written', asRoot, () => {
  using ours = networkNamespace();
  using theirs = networkNamespace();
  using firewall = new Firewall('tare', ours);
  firewall.ensure(web, () => ({ networks: [], ports: [] }));
  firewall.ensure(back, never);
  firewall.addPorts(ports);
  nft(theirs, ['-f', '-'], written);
  assert.deepEqual(listed(ours), listed(theirs));
  firewall.ensure(web, never);
  firewall.rebuild(everything);
  assert.deepEqual(listed(ours), listed(theirs));
});

test('Firewall.ensure: what others flushed, deleted or wrote over is made again as a whole', asRoot, () => {
  using netns = networkNamespace();
  using firewall = new Firewall('tare', netns);
  firewall.rebuild(everything);
  const whole = listed(netns);
  for (const harm of [
    'flush ruleset',
    'flush table inet tare',
    'flush chain inet tare forward',
    'flush chain inet tare from-tare0',
    'add rule inet tare forward drop',
    'delete table inet tare; add table inet tare',
    'delete table inet tare; add table inet tare { comment "tare networks 0"; }',
  ]) {
    nft(netns, ['-f', '-'], harm);
    assert.notDeepEqual(listed(netns), whole, harm);
    let asked = 0;
    firewall.ensure(web, () => {
      asked++;
      return everything;
    });
    assert.equal(asked, 1, harm);
    assert.deepEqual(listed(netns), whole, harm);
  }
});

test('Firewall: other tables are left alone', asRoot, () => {
  using netns = networkNamespace();
  nft(
    netns,
    ['-f', '-'],
    'table inet filter {\n chain input {\n type filter hook input priority 0\n tcp dport 22 accept\n }\n}',
  );
  const before = listed(netns);
  using firewall = new Firewall('tare', netns);
  firewall.rebuild(everything);
  firewall.remove();
  firewall.remove();
  assert.deepEqual(listed(netns), before);
});

test('Firewall: removing a container or a network takes what is theirs, once', asRoot, () => {
  using netns = networkNamespace();
  using firewall = new Firewall('tare', netns);
  firewall.removePorts('abc');
  firewall.removeNetwork(back);
  firewall.rebuild({ networks: [web], ports: ports.filter(({ container }) => container === 'def') });
  const without = listed(netns);
  firewall.ensure(back, never);
  firewall.addPorts(ports);
  assert.deepEqual([...firewall.publishers()].sort(), ['abc', 'def']);
  firewall.removePorts('abc');
  firewall.removePorts('abc');
  firewall.removeNetwork(back);
  firewall.removeNetwork(back);
  assert.deepEqual(listed(netns), without);
});

test('Firewall.addPorts: a port that another container has is refused, and nothing is added', asRoot, () => {
  using netns = networkNamespace();
  using firewall = new Firewall('tare', netns);
  firewall.rebuild(everything);
  const before = listed(netns);
  const more = [port({ container: 'x', hostPort: 8081 }), port({ container: 'x', address: parseAddress('10.90.0.9') })];
  assert.throws(() => firewall.addPorts(more), isTaken);
  assert.deepEqual(listed(netns), before);
  firewall.addPorts(ports);
  assert.deepEqual(listed(netns), before);
});

test('Firewall: thousands of ports', asRoot, () => {
  using netns = networkNamespace();
  using firewall = new Firewall('tare', netns);
  const many = Array.from({ length: 5000 }, (_, i) => port({ hostPort: 10_000 + i }));
  firewall.rebuild({ networks: [web], ports: many });
  firewall.addPorts(many);
  firewall.removePorts('abc');
  assert.equal(firewall.publishers().size, 0);
});
