/** What a container may reach: on a machine in small, with servers and a DNS server of the test's own outside. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NamesLab, sleeping } from './names-lab.ts';
import { canNetwork } from './net-lab.ts';
import { until } from './lab.ts';

/** Says yes to everybody on TCP 80 and 81 and UDP 99. */
const server = `
import socket, threading
def tcp(port):
    s = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        c = s.accept()[0]; c.sendall(b"yes"); c.close()
def udp():
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(("::", 99))
    while True:
        d, peer = s.recvfrom(100); s.sendto(b"yes", peer)
for port in (80, 81): threading.Thread(target=tcp, args=(port,), daemon=True).start()
print("ready", flush=True)
udp()
`;

/** Asks each HOST:PORT (udp: with /udp) and prints what came of it. */
const client = `
import errno, socket, sys
for word in sys.argv[1:]:
    where, _, kind = word.partition("/")
    host, _, port = where.rpartition(":")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), 0, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)[0]
        s = socket.socket(family, kind); s.settimeout(0.7); s.connect(address)
        if kind == socket.SOCK_DGRAM: s.send(b"?")
        print(s.recv(9).decode() or "closed")
    except socket.gaierror: print("no name")
    except TimeoutError: print("silence")
    except OSError as e: print(errno.errorcode[e.errno])
`;

class EgressLab extends NamesLab {
  /** Servers outside, on addresses that names lead to. */
  async world(): Promise<{ asked: string[] }> {
    const { ground } = this;
    for (const address of ['203.0.113.7/32', '203.0.113.8/32', '2001:db8::7/128'])
      ground.run(ground.outside, 'ip', 'addr', 'add', address, 'dev', 'lo');
    for (const netns of [ground.outside, ground.machine]) await ground.start(netns, ['python3', '-c', server]);
    return this.upstream();
  }

  async serving(name: string, ...options: string[]): Promise<string> {
    const id = await this.ok('run', '-d', '--name', name, ...options, 'host:', 'python3', '-c', server);
    for (let left = 500; !(await this.ok('logs', name)).includes('ready'); left--)
      if (left === 0) throw new Error(`${name} is not ready`);
    return id;
  }

  /** What a container gets of each. */
  async reach(from: string, ...where: string[]): Promise<string[]> {
    return (await this.ok('exec', from, 'python3', '-c', client, ...where)).split('\n');
  }
}

const dns = ['--dns', '192.0.2.1'];

test('--egress allow: only what is on the list, by name or address, by its ports', canNetwork, async () => {
  await using net = new EgressLab();
  const { asked } = await net.world();
  await net.ok('network', 'create', '--ipv6', 'web');
  await net.serving('near', '--network', 'web');
  await net.serving('other', '--network', 'web', '--cap-add', 'NET_ADMIN');
  const list = 'allow=good.org:80,*.wild.org,at-127-0-0-1.org,192.0.2.1:81,[fd01::1]:80,near:81';
  await net.serving('a', '--network', 'web', ...dns, '--egress', list, '-p', '8080:80', '--cap-add', 'NET_ADMIN');
  const gateway = await net.gateway('web');
  assert.deepEqual(
    await net.reach('a', '192.0.2.1:81', '[fd01::1]:80', '192.0.2.1:80', '[fd01::1]:81', '192.0.2.1:99/udp'),
    ['yes', 'yes', 'ECONNREFUSED', 'ECONNREFUSED', 'EHOSTUNREACH'],
  );
  // An address is reached by a name that is on the list, and not before it was asked for.
  assert.deepEqual(await net.reach('a', '203.0.113.7:80', '[2001:db8::7]:80'), ['ECONNREFUSED', 'ECONNREFUSED']);
  assert.deepEqual(
    await net.reach('a', 'good.org:80', '203.0.113.7:80', '203.0.113.7:81', '203.0.113.7:99/udp', '203.0.113.8:80'),
    ['yes', 'yes', 'ECONNREFUSED', 'EHOSTUNREACH', 'ECONNREFUSED'],
  );
  assert.equal(await net.dig('a', gateway, 'GOOD.org/AAAA'), 'NOERROR 2001:db8::7');
  assert.deepEqual(await net.reach('a', '[2001:db8::7]:80', '[2001:db8::7]:81'), ['yes', 'ECONNREFUSED']);
  assert.deepEqual(await net.reach('a', 'at-203-0-113-8.wild.org:81', '203.0.113.8:80'), ['yes', 'yes']);
  // Names that are not on it are asked of nobody; what an allowed name says of this machine is not believed.
  assert.deepEqual(await net.reach('a', 'evil.org:80', 'wild.org:80', 'sub.good.org:80', 'at-127-0-0-1.org:9'), [
    'no name',
    'no name',
    'no name',
    'ECONNREFUSED',
  ]);
  assert.deepEqual([...new Set(asked.map((line) => line.split(' ')[0]))].sort(), [
    'at-127-0-0-1.org',
    'at-203-0-113-8.wild.org',
    'good.org',
  ]);
  assert.equal(
    await net.dig('a', gateway, 'evil.org', 'evil.org/TXT', '1.2.0.192.in-addr.arpa/PTR'),
    'NXDOMAIN\nNXDOMAIN\nNXDOMAIN',
  );
  assert.match(await net.dig('a', '192.0.2.1', 'good.org', 'wait=0.7'), /Error$/);
  // The machine, by any of its addresses; neighbours, who are not on its way.
  const near = await net.address('near', 'web');
  const near6 = await net.ok('inspect', '--format', '{{.NetworkSettings.Networks.web.GlobalIPv6Address}}', 'near');
  assert.deepEqual(await net.reach('a', `${gateway}:80`, '192.0.2.2:80', `${gateway}:99/udp`), [
    'ECONNREFUSED',
    'ECONNREFUSED',
    'EHOSTUNREACH',
  ]);
  const others = [`${near}:80`, `[${near6}]:80`, `${near}:99/udp`, 'other:80', `${near}:81`];
  const refused = await net.reach('a', ...others);
  assert.ok(
    refused.every((one) => ['ECONNREFUSED', 'EHOSTUNREACH', 'silence'].includes(one)),
    refused.join(' '),
  );
  assert.deepEqual(await net.reach('a', 'near:81', 'near:80'), ['yes', 'ECONNREFUSED']);
  // Who comes in is answered: neighbours, and those outside.
  assert.deepEqual(await net.reach('near', 'a:80'), ['yes']);
  assert.match(net.ground.run(net.ground.outside, 'python3', '-c', client, '192.0.2.2:8080'), /yes/);
  // Whoever listens to events is told what it was refused, each once.
  const told = (
    await net.ok(
      'events',
      '--since',
      '10m',
      '--until',
      '0s',
      '--filter',
      'event=deny',
      '--format',
      '{{.Name}} {{json .Attributes}}',
    )
  ).split('\n');
  const lines = [
    'a {"domain":"evil.org",',
    'a {"address":"192.0.2.1","port":"80","protocol":"tcp",',
    'a {"address":"fd01::1","port":"81","protocol":"tcp",',
    'a {"address":"192.0.2.1","port":"99","protocol":"udp",',
    `a {"address":"${near}","port":"80","protocol":"tcp",`,
    `a {"address":"${gateway}","port":"80","protocol":"tcp",`,
  ];
  for (const line of lines)
    assert.equal(told.filter((one) => one.startsWith(line)).length, 1, `${line} in:\n${told.join('\n')}`);
  // A neighbour that would pass things on is no way around.
  await net.ok(
    'run',
    '-d',
    '--name',
    'helper',
    '--network',
    'web',
    '--cap-add',
    'NET_ADMIN',
    'host:',
    'python3',
    '-c',
    server,
  );
  await net.ok('exec', 'helper', 'ip', 'addr', 'add', '203.0.113.99/32', 'dev', 'lo');
  const helper = await net.address('helper', 'web');
  for (const name of ['a', 'other']) await net.ok('exec', name, 'ip', 'route', 'add', '203.0.113.99/32', 'via', helper);
  assert.deepEqual(await net.reach('other', '203.0.113.99:80'), ['yes']);
  assert.deepEqual(await net.reach('a', '203.0.113.99:80'), ['silence']);
  // Another address than its own gets it nowhere.
  const own = await net.address('a', 'web');
  const beside = own.replace(/\d+$/, '77');
  const program = `import socket
for source, to in (("${beside}", ("${near}", 80)), ("${beside}", ("192.0.2.1", 81)), ("${own}", ("192.0.2.1", 81))):
    s = socket.socket(); s.settimeout(0.7); s.bind((source, 0))
    try: s.connect(to); print("yes")
    except OSError as e: print("no")`;
  await net.ok('exec', 'a', 'ip', 'addr', 'add', `${beside}/24`, 'dev', 'eth0');
  assert.equal(await net.ok('exec', 'a', 'python3', '-c', program), 'no\nno\nyes');
  assert.equal(
    await net.ok('inspect', '-f', '{{.HostConfig.Egress}}', 'a'),
    'allow=good.org:80,*.wild.org,at-127-0-0-1.org,near:81,192.0.2.1:81,[fd01::1]:80',
  );
});

test(
  '--egress allow: a name that the list has twice, by itself and by a wildcard, is reached',
  canNetwork,
  async () => {
    await using net = new EgressLab();
    await net.world();
    await net.ok('network', 'create', 'web');
    await net.serving('near', '--network', 'web');
    const name = 'at-203-0-113-8.wild.org';
    const list = `allow=*.wild.org:80,${name}:80,${name}:80,near:80,near:80`;
    await net.serving('a', '--network', 'web', ...dns, '--egress', list);
    assert.deepEqual(await net.reach('a', `${name}:80`, 'at-203-0-113-7.wild.org:80', 'near:80', `${name}:81`), [
      'yes',
      'yes',
      'yes',
      'ECONNREFUSED',
    ]);
  },
);

test('--egress holds over reload, flush, restart, in every network, and leaves nothing', canNetwork, async () => {
  await using net = new EgressLab();
  await net.world();
  const { ground } = net;
  await net.ok('network', 'create', 'web');
  // On the default network as well: it has no names of containers, but those on the list.
  await net.box('a', ...dns, '--egress', 'allow=good.org:80', '--egress', 'allow=192.0.2.1:81');
  assert.match(await net.ok('exec', 'a', 'cat', '/etc/resolv.conf'), /^nameserver 10\.90\.0\.1$/m);
  const all = ['good.org:80', '192.0.2.1:81', '192.0.2.1:80'];
  const right = ['yes', 'yes', 'ECONNREFUSED'];
  assert.deepEqual(await net.reach('a', ...all), right);
  await net.ok('network', 'reload');
  assert.deepEqual(await net.reach('a', '203.0.113.7:80', '203.0.113.7:81'), ['yes', 'ECONNREFUSED']);
  await net.serving('near', '--network', 'web');
  await net.ok('network', 'connect', 'web', 'a');
  assert.deepEqual(await net.reach('a', '203.0.113.7:80', 'near:80', 'evil.org:80', ...all), [
    'yes',
    'ECONNREFUSED',
    'no name',
    ...right,
  ]);
  ground.run(ground.machine, 'nft', 'flush', 'ruleset');
  await net.ok('run', '--rm', '--network', 'web', 'host:', 'true');
  assert.deepEqual(await net.reach('a', '203.0.113.7:80', ...all, 'near:80'), [
    'ECONNREFUSED',
    ...right,
    'ECONNREFUSED',
  ]);
  await net.ok('network', 'disconnect', 'web', 'a');
  assert.deepEqual(await net.reach('a', '203.0.113.7:80', ...all), ['yes', ...right]);
  const [keeper = 0, worker = 0] = net.resolvers();
  process.kill(worker, 'SIGKILL');
  await until(() => net.resolvers().length === 2 && !net.resolvers().includes(worker), 5_000, 'another worker');
  assert.deepEqual(await net.reach('a', ...all), right);
  process.kill(keeper, 'SIGKILL');
  await until(() => net.resolvers().length === 0, 5_000, 'both are gone');
  assert.deepEqual(await net.reach('a', 'good.org:80', '192.0.2.1:81'), ['no name', 'yes']);
  await net.ok('ps');
  assert.deepEqual(await net.reach('a', ...all), right);
  await net.ok('restart', '-t', '0', 'a');
  assert.deepEqual(await net.reach('a', '203.0.113.7:80', ...all), ['ECONNREFUSED', ...right]);
  // Nobody inherits what it could reach.
  const own = await net.address('a');
  await net.ok('rm', '-f', '-t', '0', 'a');
  await net.box('b', '--network', `bridge:ip=${own}`, '--egress', 'none');
  assert.deepEqual(await net.reach('b', '203.0.113.7:80', '192.0.2.1:81', '10.90.0.1:80'), [
    'ECONNREFUSED',
    'ECONNREFUSED',
    'ECONNREFUSED',
  ]);
  await net.ok('rm', '-f', '-t', '0', 'b', 'near');
  await until(() => net.resolvers().length === 0, 5_000, 'no resolver is left');
  await net.clean();
  const rules = ground.run(ground.machine, 'nft', 'list', 'ruleset');
  assert.doesNotMatch(rules, /chain (to|near|by)-/);
  assert.doesNotMatch(rules, /10\.90\.0\.\d+ \. |: jump to-/);
});

test('--egress: what makes no sense is refused before anything is made', canNetwork, async () => {
  await using net = new EgressLab();
  for (const [args, message] of [
    [['--egress', 'allow'], /Cannot use --egress allow: expected none, or allow=/],
    [['--egress', 'allow=a b'], /Cannot use --egress allow=a b: expected DOMAIN/],
    [['--egress', 'allow=a.org:0'], /a port is 1 to 65535/],
    [['--egress', 'allow=1.2.3.4/33'], /Cannot use --egress allow=1\.2\.3\.4\/33/],
    [['--egress', 'allow='], /expected DOMAIN/],
    [['--egress', 'none', '--network', 'host'], /Cannot use --egress with --network host/],
    [['--egress', 'none', '--network', 'none'], /Cannot use --egress with --network none/],
  ] as const) {
    const { code, stderr } = await net.tare('run', '--rm', ...args, ...sleeping);
    assert.equal(code, 125, args.join(' '));
    assert.match(stderr, message);
  }
  assert.equal(await net.ok('ps', '-aq'), '');
});
