/** Networks of containers in a user namespace of their own: it owns the network namespace. */
import assert from 'node:assert/strict';
import { readlinkSync } from 'node:fs';
import { test } from 'node:test';
import { canNetwork, NetLab } from './net-lab.ts';

const mapped = ['--uidmap', '0:300000:2000', '--gidmap', '0:300000:2000'];

test(
  'a container in a user namespace of its own has networks, names and ports like any other',
  canNetwork,
  async () => {
    await using net = new NetLab();
    const { ground } = net;
    await ground.serve(ground.outside);
    await net.ok('network', 'create', 'web');
    await net.serve('s', ...mapped, '--network', 'web', '-p', '8080:80', '-p', '8053:53/udp');
    assert.equal(await net.ok('exec', 's', 'head', '-c', '21', '/proc/self/uid_map').then(shortened), '0 300000');
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8053, 'udp'), '192.0.2.1');
    // By name, both ways, and out of it.
    const ask = (host: string): string[] => ['python3', '-c', answerOf(host)];
    const address = await net.address('s', 'web');
    await net.serve('plain', '--network', 'web');
    assert.equal(await net.ok('exec', 'plain', ...ask('s')), await net.address('plain', 'web'));
    assert.equal(await net.ok('exec', 's', ...ask('plain')), address);
    assert.equal(await net.ok('exec', 's', ...ask('192.0.2.1')), '192.0.2.2');
    // Another network while it runs; a restart keeps the addresses.
    await net.ok('network', 'create', 'more');
    await net.ok('network', 'connect', 'more', 's');
    const links = await net.ok('exec', 's', '/usr/bin/ip', '-br', '-4', 'address');
    assert.match(links, /eth1/);
    await net.ok('restart', '-t', '0', 's');
    assert.equal(await net.address('s', 'web'), address);
    assert.match(await net.ok('exec', 's', '/usr/bin/ip', '-br', '-4', 'address'), /eth1/);
    await net.ok('network', 'disconnect', 'more', 's');
    // Others may share it, those of yet another user namespace too.
    for (const other of [[], mapped, ['--uidmap', '0:400000:10', '--gidmap', '0:400000:10']]) {
      const seen = await net.ok(
        'run',
        '--rm',
        ...other,
        '--network',
        'container:s',
        'host:',
        '/usr/bin/ip',
        '-br',
        '-4',
        'address',
      );
      assert.ok(seen.includes(`${address}/`), seen);
    }
    await net.ok('rm', '-f', '-t', '0', 's', 'plain');
    await net.clean();
  },
);

test(
  'root of a user namespace may in its own network what root may, and nothing in the machine’s',
  canNetwork,
  async () => {
    await using net = new NetLab();
    // What a bridge needs of the machine is there.
    await net.ok('run', '--rm', '--network', 'bridge', 'host:', 'true');
    const before = net.ground.run(net.ground.machine, 'sysctl', 'net.ipv4.ip_forward', 'net.ipv4.conf.all.forwarding');
    const made = await net.ok(
      'run',
      '--rm',
      ...mapped,
      '--network',
      'bridge',
      '--cap-add',
      'NET_ADMIN',
      '--sysctl',
      'net.ipv4.ip_default_ttl=7',
      'host:',
      'sh',
      '-c',
      'ip() { /usr/bin/ip "$@"; }; ip link add veth0 type veth peer name veth1 && ip -br link show type veth && cat /proc/sys/net/ipv4/ip_default_ttl && ls /sys/class/net',
    );
    assert.match(made, /^veth1@veth0/m);
    assert.match(made, /^7$/m);
    assert.match(made, /^veth1$/m);
    const may = await net.tare(
      'run',
      '--rm',
      ...mapped,
      '--network',
      'bridge',
      'host:',
      '/usr/bin/ip',
      'link',
      'add',
      'veth0',
      'type',
      'veth',
    );
    assert.match(may.stderr, /Operation not permitted/);
    const machine = await net.tare(
      'run',
      '--rm',
      ...mapped,
      '--network',
      'host',
      '--cap-add',
      'NET_ADMIN',
      'host:',
      '/usr/bin/ip',
      'link',
      'add',
      'veth9',
      'type',
      'veth',
    );
    assert.match(machine.stderr, /Operation not permitted/);
    assert.equal(
      net.ground.run(net.ground.machine, 'sysctl', 'net.ipv4.ip_forward', 'net.ipv4.conf.all.forwarding'),
      before,
    );
    await net.clean();
  },
);

test('a monitor that starts its container again keeps both namespaces', canNetwork, async () => {
  await using net = new NetLab();
  await net.ok(
    'run',
    '-d',
    '--name',
    'r',
    ...mapped,
    '--network',
    'bridge',
    '--restart',
    'always',
    'host:',
    'sleep',
    '1000',
  );
  const ns = async (): Promise<string[]> => {
    const pid = await net.ok('inspect', '--format', '{{.State.Pid}}', 'r');
    return [...['user', 'net'].map((name) => readlinkSync(`/proc/${pid}/ns/${name}`)), pid];
  };
  const [user, netns, pid] = await ns();
  process.kill(Number(pid), 'SIGKILL');
  let again = await ns().catch(() => []);
  const end = performance.now() + 30_000;
  while (again[2] === undefined || again[2] === pid || again[2] === '0') {
    assert.ok(performance.now() < end, 'it starts again');
    again = await ns().catch(() => []);
  }
  assert.deepEqual(again.slice(0, 2), [user, netns]);
  await net.ok('rm', '-f', '-t', '0', 'r');
  await net.clean();
});

const shortened = (text: string): string => text.trim().split(/\s+/).slice(0, 2).join(' ');
const answerOf = (host: string): string =>
  `import socket; print(socket.create_connection((${JSON.stringify(host)}, 80)).recv(99).decode())`;
