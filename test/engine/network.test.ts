/** Networks as people use them: on a machine in small, a network namespace of the test's own. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isLifeHeld } from '../../src/runtime/state.ts';
import { outcome, slowness, until } from './lab.ts';
import { canNetwork, NetLab } from './net-lab.ts';

test('run --network bridge: out, in by a port, and nothing is left', canNetwork, async () => {
  await using net = new NetLab();
  const { ground } = net;
  await ground.serve(ground.outside);
  const seen = await net.ok(
    'run',
    '--rm',
    '--network',
    'bridge',
    'host:',
    'python3',
    '-c',
    'import socket; print(socket.create_connection(("192.0.2.1", 80)).recv(99).decode())',
  );
  assert.equal(seen, '192.0.2.2');
  await net.clean();
  const id = await net.serve(
    'web',
    '-p',
    '8080:80',
    '-p',
    '127.0.0.1:5353:53/udp',
    '--add-host',
    'db:10.0.0.9',
    '--add-host',
    'me:host-gateway',
    '--dns',
    '9.9.9.9',
    '--dns-search',
    'example.org',
    '--dns-option',
    'ndots:2',
  );
  assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
  assert.equal(ground.ask(ground.machine, '127.0.0.1', 5353, 'udp'), '10.90.0.1');
  const address = await net.address('web');
  assert.match(address, /^10\.90\.0\.\d+$/);
  assert.equal(
    await net.ok('exec', 'web', 'cat', '/etc/hosts', '/etc/resolv.conf'),
    `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.9\tdb\n10.90.0.1\tme\n${address}\t${id.slice(0, 12)} web\n` +
      '10.90.0.1\thost.containers.internal host.docker.internal\nsearch example.org\nnameserver 9.9.9.9\noptions ndots:2',
  );
  assert.equal(await net.ok('port', 'web'), '80/tcp -> 0.0.0.0:8080\n53/udp -> 127.0.0.1:5353');
  assert.equal(await net.ok('port', 'web', '80'), '0.0.0.0:8080');
  assert.equal(
    await net.ok('port', '-a'),
    `${id.slice(0, 12)}\t80/tcp -> 0.0.0.0:8080\n${id.slice(0, 12)}\t53/udp -> 127.0.0.1:5353`,
  );
  assert.equal((await net.tare('port', 'web', '81')).code, 1);
  assert.equal(
    await net.ok('ps', '--format', '{{.Ports}} {{.Networks}}'),
    '0.0.0.0:8080->80/tcp, 127.0.0.1:5353->53/udp bridge',
  );
  assert.equal(await net.ok('ps', '-q', '--filter', 'network=bridge'), id.slice(0, 12));
  const taken = await net.tare('run', '--rm', '-p', '8080:80', 'host:', 'true');
  assert.deepEqual(
    [taken.code, taken.stderr],
    [125, `Error: Cannot publish 0.0.0.0:8080/tcp: container ${id.slice(0, 12)} has it\n`],
  );
  // As long as it runs, nobody else gets its ports; and it does not take what others have.
  const bind = 'import socket; socket.socket().bind(("0.0.0.0", 8080))';
  assert.throws(() => ground.run(ground.machine, 'python3', '-c', bind), /Address already in use/);
  await ground.serve(ground.machine);
  const used = await net.tare('run', '--rm', '-p', '80:80', 'host:', 'true');
  assert.deepEqual(
    [used.code, used.stderr],
    [125, 'Error: Cannot publish 0.0.0.0:80/tcp: a program of this machine uses it\n'],
  );
  const nowhere = await net.tare('run', '--rm', '-p', '192.0.2.77:8081:80', 'host:', 'true');
  assert.match(nowhere.stderr, /^Error: Cannot publish 192\.0\.2\.77:8081\/tcp: it is no address of this machine\n$/);
  await net.ok('rm', '-f', '-t', '0', 'web');
  await net.clean();
  ground.run(ground.machine, 'python3', '-c', bind);
  const free = await net.ok('run', '-d', '--name', 'any', '-p', '80', 'host:', 'sleep', '60');
  assert.match(await net.ok('port', free, '80/tcp'), /^0\.0\.0\.0:\d{4,5}$/);
});

test(
  'a container keeps its network over restarts by its monitor, its address over stop and start',
  canNetwork,
  async () => {
    await using net = new NetLab();
    const { ground } = net;
    await net.ok(
      'run',
      '-d',
      '--name',
      'again',
      '--restart',
      'always',
      '-p',
      '8080:80',
      'host:',
      'sh',
      '-c',
      'readlink /proc/self/ns/net; ip -4 -o addr show dev eth0; sleep 0.3',
    );
    const deadline = performance.now() + 20_000 * slowness;
    let lines: string[] = [];
    while (lines.length < 6 && performance.now() < deadline) {
      await sleep(100);
      lines = (await net.ok('logs', 'again')).split('\n').filter(Boolean);
    }
    assert.ok(lines.length >= 6, lines.join('\n'));
    assert.equal(new Set(lines.filter((line) => line.startsWith('net:'))).size, 1);
    assert.equal(new Set(lines.filter((line) => line.includes('inet')).map((line) => line.split(/\s+/)[3])).size, 1);
    await net.ok('rm', '-f', '-t', '0', 'again');

    // A policy that came later: another monitor goes on, with the same ports.
    await net.ok(
      'run',
      '-d',
      '--name',
      'later',
      '-p',
      '8080:80',
      'host:',
      'sh',
      '-c',
      'ip -4 -o addr show dev eth0; sleep 1',
    );
    await net.ok('update', '--restart', 'always', 'later');
    const end = performance.now() + 20_000 * slowness;
    let starts: string[] = [];
    while (starts.length < 3 && performance.now() < end) {
      await sleep(100);
      starts = (await net.ok('logs', 'later')).split('\n').filter(Boolean);
    }
    assert.ok(starts.length >= 3, starts.join('\n'));
    assert.equal(new Set(starts.map((line) => line.split(/\s+/)[3])).size, 1);
    assert.equal(net.left().ports, true);
    await net.ok('rm', '-f', '-t', '0', 'later');
    await net.clean();

    await net.serve('web', '-p', '8080:80');
    const address = await net.address('web');
    await net.ok('stop', '-t', '0', 'web');
    assert.equal(await net.address('web'), '');
    await until(() => !net.left().ports, 10_000, 'the ports of what ended are gone');
    await net.clean();
    assert.match(ground.ask(ground.outside, '192.0.2.2', 8080), /^no: ConnectionRefused/);
    await net.ok('run', '-d', '--name', 'other', '--network', 'bridge', 'host:', 'sleep', '60');
    assert.notEqual(await net.address('other'), address);
    await net.ok('start', 'web');
    assert.equal(await net.address('web'), address);
    await net.ok('restart', '-t', '0', 'web');
    assert.equal(await net.address('web'), address);
    await until(() => ground.ask(ground.outside, '192.0.2.2', 8080) === '192.0.2.1', 20_000, 'it serves again');
  },
);

test(
  'kill -9 of the monitor, and of whoever starts: the next command collects links, rules and leases',
  canNetwork,
  async () => {
    await using net = new NetLab();
    const id = await net.serve('web', '-p', '8080:80');
    process.kill(net.lab.monitorOf(id), 'SIGKILL');
    await until(() => isLifeHeld(net.lab.at(id)) !== true, 10_000, 'the monitor is dead');
    assert.equal(net.left().ports, true);
    await net.ok('ps');
    await net.clean();
    await net.ok('rm', 'web');
    for (let round = 0; round < 8; round++) {
      const child = net.start('run', '--rm', '-d', '-p', '8080:80', 'host:', 'sleep', '60');
      await sleep(60 + round * 25);
      child.kill('SIGKILL');
      await outcome(child);
      await net.ok('ps', '-a');
      const ids = (await net.ok('ps', '-aq')).split('\n').filter(Boolean);
      if (ids.length > 0) await net.ok('rm', '-f', '-t', '0', ...ids);
      await until(() => net.left().attached.length === 0, 10_000, 'it is collected');
      await net.clean(`round ${round}`);
    }
  },
);

test('network create, ls, inspect, connect, disconnect, exists, prune, rm, reload', canNetwork, async () => {
  await using net = new NetLab();
  const { ground } = net;
  assert.equal(await net.ok('network', 'create', '--ipv6', '--label', 'a=b', 'web'), 'web');
  assert.equal(
    await net.ok(
      'network',
      'create',
      '--subnet',
      '10.7.0.0/24',
      '--gateway',
      '10.7.0.9',
      '--ip-range',
      '10.7.0.128/25',
      '--internal',
      'back',
    ),
    'back',
  );
  assert.equal(await net.ok('network', 'ls', '--format', '{{.Name}} {{.Internal}}'), 'back true\nweb false');
  assert.equal(await net.ok('network', 'inspect', '-f', '{{(index .IPAM.Config 0).Gateway}}', 'back'), '10.7.0.9');
  assert.equal((await net.tare('network', 'exists', 'nothing')).code, 1);
  assert.match(
    (await net.tare('network', 'create', 'web')).stderr,
    /^Error: Cannot create network web: network web has that name\n$/,
  );
  assert.match(
    (await net.tare('network', 'create', '--subnet', '10.7.0.0/16', 'x')).stderr,
    /network back has 10\.7\.0\.0\/24/,
  );
  await net.serve('a', '--network', 'web:alias=db', '--network', 'back:ip=10.7.0.200', '-p', '8080:80');
  await net.ok('run', '-d', '--name', 'b', '--network', 'back', 'host:', 'sleep', '60');
  const inside = async (name: string, host: string): Promise<string> =>
    net.ok(
      'exec',
      name,
      'python3',
      '-c',
      `import socket; print(socket.create_connection(("${host}", 80), 1).recv(99).decode())`,
    );
  assert.equal(await inside('b', '10.7.0.200'), '10.7.0.128');
  assert.equal(
    (await net.tare('exec', 'b', 'python3', '-c', 'import socket; socket.create_connection(("192.0.2.1", 80), 1)'))
      .code,
    1,
  );
  assert.match(
    (await net.tare('network', 'rm', 'back')).stderr,
    /^Error: Cannot remove network back: container [0-9a-f]{12} is in it; /,
  );
  await ground.serve(ground.outside);
  await net.ok('network', 'connect', '--alias', 'x', 'web', 'b');
  assert.equal(await inside('b', '192.0.2.1'), '192.0.2.2');
  assert.match((await net.tare('network', 'connect', 'web', 'b')).stderr, /container b is in it/);
  await net.ok('restart', '-t', '0', 'b');
  assert.equal(await inside('b', '192.0.2.1'), '192.0.2.2');
  const { Containers } = JSON.parse(await net.ok('network', 'inspect', '-f', 'json', 'web'))[0] as {
    Containers: Record<string, { Name: string }>;
  };
  assert.deepEqual(
    Object.values(Containers)
      .map(({ Name }) => Name)
      .sort(),
    ['a', 'b'],
  );
  assert.match((await net.tare('network', 'disconnect', 'web', 'a')).stderr, /published ports are reached by it/);
  await net.ok('network', 'disconnect', 'web', 'b');
  assert.match((await net.tare('network', 'disconnect', 'back', 'b')).stderr, /only one of container b/);
  ground.run(ground.machine, 'nft', 'flush', 'ruleset');
  assert.match(ground.ask(ground.outside, '192.0.2.2', 8080), /^no: /);
  await net.ok('network', 'reload');
  assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
  await net.ok('network', 'create', 'unused');
  await net.ok('network', 'create', 'kept');
  // As `network ls` prints it: the beginning of an id is a network's name as well.
  const short = await net.ok('network', 'ls', '--filter', 'name=kept', '--format', '{{.ID}}');
  await net.ok('create', '--name', 'asleep', '--network', short, 'host:', 'true');
  assert.equal(await net.ok('ps', '-a', '--filter', 'network=kept', '--format', '{{.Names}}'), 'asleep');
  assert.match((await net.tare('network', 'connect', short, 'asleep')).stderr, /container asleep is in it/);
  assert.equal(await net.ok('network', 'prune', '-f'), 'unused');
  await net.ok('rm', 'asleep');
  assert.equal(await net.ok('network', 'prune', '-f', '--filter', 'label!=x'), 'kept');
  await net.ok('rm', '-f', '-t', '0', 'a', 'b');
  assert.equal(await net.ok('network', 'rm', 'web', 'back'), 'web\nback');
  assert.equal(await net.ok('network', 'ls', '-q'), '');
  assert.doesNotMatch(ground.run(ground.machine, 'ip', '-br', 'link'), /tare/);
});

test(
  '--network container:, ns:, none and host; what does not go together is refused before anything is made',
  canNetwork,
  async () => {
    await using net = new NetLab();
    await net.serve('web');
    const own = async (...options: string[]): Promise<string> =>
      net.ok('run', '--rm', ...options, 'host:', 'readlink', '/proc/self/ns/net');
    await net.ok(
      'run',
      '-d',
      '--name',
      'a',
      '--network',
      'bridge',
      '--add-host',
      'db:10.0.0.9',
      'host:',
      'sleep',
      '60',
    );
    const namespace = await net.ok('exec', 'a', 'readlink', '/proc/self/ns/net');
    assert.equal(await own('--network', 'container:a'), namespace);
    assert.match(
      await net.ok('run', '--rm', '--name', 'guest', '--network', 'container:a', 'host:', 'cat', '/etc/hosts'),
      /10\.0\.0\.9\tdb[^]*^127\.0\.0\.1\tguest$/m,
    );
    assert.match(await net.ok('exec', 'a', 'cat', '/etc/hosts'), /^127\.0\.0\.1\tguest$/m);
    // What a guest added is no change of the container's own: another network is in its file as well.
    await net.ok('network', 'create', 'more');
    await net.ok('network', 'connect', 'more', 'a');
    const more = await net.address('a', 'more');
    const hosts = await net.ok('exec', 'a', 'cat', '/etc/hosts');
    assert.match(hosts, new RegExp(`^${more.replaceAll('.', '\\.')}\t.*\\ba\\b[^]*^127\\.0\\.0\\.1\tguest$`, 'm'));
    await net.ok('network', 'disconnect', 'more', 'a');
    await net.ok('network', 'rm', 'more');
    const pid = await net.ok('inspect', '-f', '{{.State.Pid}}', 'a');
    assert.equal(await own('--network', `ns:/proc/${pid}/ns/net`), namespace);
    assert.notEqual(await own(), namespace);
    assert.match(
      await net.ok('run', '--rm', '--add-host', 'db:10.0.0.9', 'host:', 'cat', '/etc/hosts'),
      /10\.0\.0\.9\tdb/,
    );
    await net.ok('stop', '-t', '0', 'a');
    for (const [args, code, message] of [
      [['--network', 'container:a'], 125, /whose network it shares, does not run/],
      [['--network', 'nothing'], 125, /^Error: Cannot find network nothing: no such network\n/],
      [['--network', 'none', '-p', '80'], 125, /^Error: Cannot use --publish with --network none/],
      [['--network', 'bridge:ip=10.99.0.1'], 125, /it is not in 10\.90\.0\.0\/16/],
      [['-p', 'x'], 125, /^Error: Cannot publish x/],
      [['--dns', 'x'], 125, /^Error: Cannot use --dns x/],
      [['--add-host', 'x'], 125, /^Error: Cannot use --add-host x/],
    ] as const) {
      const failed = await net.tare('run', '--rm', ...args, 'host:', 'true');
      assert.equal(failed.code, code, args.join(' '));
      assert.match(failed.stderr, message);
    }
    assert.deepEqual((await net.ok('ps', '-a', '--format', '{{.Names}}')).split('\n').sort(), ['a', 'web']);
  },
);

test('a container that cannot start leaves nothing of its networks', canNetwork, async (t: TestContext) => {
  await using net = new NetLab();
  const failed = await net.tare('run', '--network', 'bridge', '-p', '8080:80', 'host:', '/no/such/program');
  assert.equal(failed.code, 127);
  await net.clean();
  await net.ok('create', '--name', 'c', '--network', 'bridge', '-p', '8080:80', 'host:', '/no/such/program');
  assert.notEqual((await net.tare('start', 'c')).code, 0);
  await net.clean();
  await net.ok('create', '--name', 'i', '--network', 'bridge', '-p', '8080:80', 'host:', 'sleep', '60');
  await net.ok('init', 'i');
  await until(() => net.left().links.length === 1, 10_000, 'there is one link');
  await net.ok('start', 'i');
  assert.equal(await net.ok('exec', 'i', 'cat', '/sys/class/net/eth0/operstate'), 'up');
  assert.match(readFileSync(`/proc/sys/net/ipv4/ip_forward`, 'utf8'), /^[01]\n$/);
  t.diagnostic('the machine of the test was not touched');
});
