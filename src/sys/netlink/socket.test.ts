import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { needs } from '../../../test/support/needs.ts';
import { type Fd } from '../fd.ts';
import { networkNamespace, openNetSysctl, socketIn } from '../network-namespace.ts';
import { addAddress, addresses, deleteAddress } from './addresses.ts';
import { addLink, deleteLink, findLink, links, setHairpin, setLink } from './links.ts';
import { addRoute, deleteRoute, routes } from './routes.ts';
import { NetlinkSocket } from './socket.ts';

const asRoot = { skip: needs.root() || needs.program('ip', 'nsenter') };

/** What iproute2 says about a namespace that has no name. */
function ip(netns: Fd, ...args: string[]): Record<string, unknown>[] {
  const fd = `--net=/proc/${process.pid}/fd/${netns.number}`;
  return JSON.parse(execFileSync('nsenter', [fd, 'ip', '-j', '-d', ...args], { encoding: 'utf8' }) || '[]') as Record<
    string,
    unknown
  >[];
}

test('networkNamespace: a new one, without a process, that no thread of ours entered', asRoot, () => {
  using netns = networkNamespace();
  const own = readlinkSync('/proc/self/ns/net');
  assert.match(readlinkSync(`/proc/self/fd/${netns.number}`), /^net:\[\d+\]$/);
  assert.notEqual(readlinkSync(`/proc/self/fd/${netns.number}`), own);
  for (const thread of readdirSync('/proc/self/task'))
    assert.equal(readlinkSync(`/proc/self/task/${thread}/ns/net`), own);
  using socket = NetlinkSocket.open('route', netns);
  assert.deepEqual(
    links(socket)
      .filter(({ kind, name }) => kind === '' && name === 'lo')
      .map(({ up }) => up),
    [false],
  );
});

test('socketIn and openNetSysctl: what the kernel refuses, it says; sysctls are of that namespace', asRoot, () => {
  using netns = networkNamespace();
  assert.throws(() => socketIn(0, 16, 3, 0), { code: 'EINVAL' });
  assert.throws(() => openNetSysctl(netns, 'ipv4/nothing', 'read'), {
    code: 'ENOENT',
    path: '/proc/sys/net/ipv4/nothing',
  });
  const before = readFileSync('/proc/sys/net/ipv4/ip_default_ttl', 'utf8');
  using file = openNetSysctl(netns, 'ipv4/ip_default_ttl', 'write');
  execFileSync('sh', ['-c', `echo 77 > /proc/${process.pid}/fd/${file.number}`]);
  using again = openNetSysctl(netns, 'ipv4/ip_default_ttl', 'read');
  assert.equal(readFileSync(again.number, 'utf8'), '77\n');
  assert.equal(readFileSync('/proc/sys/net/ipv4/ip_default_ttl', 'utf8'), before);
});

test('links, addresses and routes are made as iproute2 sees them', asRoot, () => {
  using outside = networkNamespace();
  using inside = networkNamespace();
  using out = NetlinkSocket.open('route', outside);
  using within = NetlinkSocket.open('route', inside);
  const mac = Uint8Array.of(2, 0x74, 10, 90, 0, 2);
  out.request([addLink({ name: 'br0', up: true, mac: Uint8Array.of(2, 0x74, 10, 90, 0, 1) }, { kind: 'bridge' })]);
  const bridge = findLink(out, 'br0');
  assert.ok(bridge?.kind === 'bridge' && bridge.up);
  out.request([
    addAddress({ address: Uint8Array.of(10, 90, 0, 1), prefix: 16, index: bridge.index }),
    addLink(
      { name: 'v0', up: true, master: bridge.index, mtu: 1400 },
      { kind: 'veth', peer: { name: 'eth0', netns: inside, mac, mtu: 1400 } },
    ),
    setHairpin('v0'),
  ]);
  const v6 = new Uint8Array(16).with(0, 0xfd).with(15, 2);
  const index = findLink(within, 'eth0')?.index ?? 0;
  within.request([
    setLink(1, { up: true }),
    setLink(index, { up: true }),
    addAddress({ address: Uint8Array.of(10, 90, 0, 2), prefix: 16, index }),
    addAddress({ address: v6, prefix: 64, index }),
    addRoute({ to: new Uint8Array(4), prefix: 0, gateway: Uint8Array.of(10, 90, 0, 1), index, metric: 100 }),
  ]);
  const [eth0] = ip(inside, 'addr', 'show', 'eth0');
  assert.ok(eth0 !== undefined);
  assert.deepEqual([eth0['ifindex'], eth0['address'], eth0['mtu']], [index, '02:74:0a:5a:00:02', 1400]);
  const shown = (
    eth0['addr_info'] as { local: string; prefixlen: number; broadcast?: string; nodad?: boolean }[]
  ).filter(({ local }) => !local.startsWith('fe80'));
  assert.deepEqual(
    shown.map(({ local, prefixlen, broadcast, nodad }) => [local, prefixlen, broadcast, nodad]),
    [
      ['10.90.0.2', 16, '10.90.255.255', undefined],
      ['fd00::2', 64, undefined, true],
    ],
  );
  const [gateway] = ip(inside, 'route', 'show', 'default');
  assert.deepEqual([gateway?.['gateway'], gateway?.['dev'], gateway?.['metric']], ['10.90.0.1', 'eth0', 100]);
  const [port] = ip(outside, 'link', 'show', 'v0');
  const slave = (port?.['linkinfo'] as { info_slave_kind: string; info_slave_data: { hairpin: boolean } }) ?? {};
  assert.deepEqual([port?.['master'], slave.info_slave_kind, slave.info_slave_data.hairpin], ['br0', 'bridge', true]);

  assert.ok(
    addresses(within).some(({ address, index: at }) => v6.every((byte, i) => byte === address[i]) && at === index),
  );
  assert.ok(routes(within).some(({ prefix, gateway: by }) => prefix === 0 && by?.[3] === 1));
  within.request([
    deleteRoute({ to: new Uint8Array(4), prefix: 0 }),
    deleteRoute({ to: new Uint8Array(4), prefix: 0 }),
    deleteAddress({ address: v6, prefix: 64, index }),
    deleteAddress({ address: v6, prefix: 64, index }),
    setLink(index, { up: false }),
    setLink(index, { name: 'renamed' }),
  ]);
  assert.deepEqual(ip(inside, 'route', 'show', 'default'), []);
  assert.equal(findLink(within, 'renamed')?.index, index);
  out.request([deleteLink('v0'), deleteLink('v0')]);
  assert.equal(findLink(within, 'renamed'), undefined);
  assert.equal(findLink(out, 'v0'), undefined);
});

test('links: macvlan, and a move to another namespace', asRoot, () => {
  using first = networkNamespace();
  using second = networkNamespace();
  using one = NetlinkSocket.open('route', first);
  using two = NetlinkSocket.open('route', second);
  one.request([addLink({ name: 'base' }, { kind: 'bridge' })]);
  const parent = findLink(one, 'base')?.index ?? 0;
  one.request([addLink({ name: 'mv' }, { kind: 'macvlan', parent, mode: 'bridge' })]);
  const made = findLink(one, 'mv');
  assert.equal(made?.kind, 'macvlan');
  one.request([setLink(made.index, { netns: second, name: 'eth9' })]);
  assert.equal(findLink(one, 'mv'), undefined);
  assert.equal(findLink(two, 'eth9')?.kind, 'macvlan');
});

test('NetlinkSocket: an error has the words of the kernel; what comes after it is done all the same', asRoot, () => {
  using netns = networkNamespace();
  using socket = NetlinkSocket.open('route', netns);
  const bridge = addLink({ name: 'br0' }, { kind: 'bridge' });
  assert.throws(() => socket.request([bridge, bridge, addLink({ name: 'br1' }, { kind: 'bridge' })]), {
    kind: 'already-exists',
    message: 'Cannot add link br0: EEXIST (file exists)',
  });
  assert.ok(findLink(socket, 'br1') !== undefined);
  assert.throws(() => socket.request([addLink({ name: 'too-long-for-a-link' }, { kind: 'bridge' })]), {
    message: /^Cannot add link too-long-for-a-link: ERANGE .*: Attribute failed policy validation$/,
  });
});

test('NetlinkSocket: a list of many messages is read whole', asRoot, () => {
  using netns = networkNamespace();
  using socket = NetlinkSocket.open('route', netns);
  const names = Array.from({ length: 300 }, (_, i) => `b${i}`);
  socket.request(names.map((name) => addLink({ name }, { kind: 'bridge' })));
  const found = new Set(links(socket).map(({ name }) => name));
  assert.deepEqual(
    names.filter((name) => !found.has(name)),
    [],
  );
});
