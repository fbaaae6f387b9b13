import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { canNet, Ground, netnsFlag } from '../../src/network/_ground.suite.ts';
import { Fd } from '../../src/sys/fd.ts';
import { isAlive, launcher, read, until } from '../engine/lab.ts';
import { needs } from '../support/needs.ts';
import { canBeUser, kill, UserLab } from './lab.ts';

const skip = canBeUser || canNet.skip || needs.program('pasta', 'curl');

/** A machine in small with an outside, and a user on it. */
class UserGround implements AsyncDisposable {
  readonly ground = new Ground();
  readonly lab: UserLab;

  /** `subids` as of `UserLab`. */
  constructor(subids?: string) {
    const ids = subids === undefined ? {} : { subids };
    this.lab = new UserLab({ net: netnsFlag(this.ground.machine), tun: true, ...ids });
  }

  /** The network namespace of a container that runs. */
  async namespaceOf(name: string, t: TestContext): Promise<Fd> {
    const pid = await this.lab.ok('inspect', '--type', 'container', '--format', '{{.State.Pid}}', name);
    const netns = Fd.adopt(openSync(`/proc/${pid}/ns/net`, 'r'));
    t.after(() => netns.close());
    return netns;
  }

  /** Starts a container that does nothing, with a server of ours in its network namespace: TCP 80, UDP 53. Each tells clients their addresses. */
  async served(name: string, t: TestContext, ...flags: readonly string[]): Promise<Fd> {
    await this.lab.ok('run', '-d', '--name', name, ...flags, this.lab.source, 'sleep', '1000');
    const netns = await this.namespaceOf(name, t);
    await this.ground.serve(netns);
    return netns;
  }

  /** Pids of the user's processes by the beginning of their command line. */
  pids(command: string): number[] {
    return this.lab
      .processes()
      .filter((one) => one.command.startsWith(command))
      .map(({ pid }) => pid);
  }

  async killed(command: string): Promise<void> {
    const pids = this.pids(command);
    assert.ok(pids.length > 0, `there is a process ${command}`);
    for (const pid of pids) kill(pid);
    await until(() => pids.every((pid) => !isAlive(pid)), 10_000, `${command} is dead`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    this.ground[Symbol.dispose]();
  }
}

const PASTA = '/usr/bin/pasta';

test('networks of a user with one id: names resolve, without a warning', { skip }, async () => {
  await using user = new UserGround('');
  const { lab } = user;
  await lab.ok('network', 'create', 'web');
  await lab.ok('run', '-d', '--name', 'db', '--network', 'web', lab.source, 'sleep', '1000');
  const asked = await lab.tare('run', '--rm', '--network', 'web', lab.source, 'busybox', 'nslookup', 'db');
  assert.equal(asked.code, 0, asked.stderr);
  assert.match(asked.stdout, /Address.*: 10\./);
  assert.doesNotMatch(asked.stderr, /resolve/);
  await lab.ok('rm', '-f', '-t', '0', 'db');
});

test(
  'networks of a user: containers reach each other, the machine and the outside; a network leads into no other',
  { skip },
  async (t) => {
    await using user = new UserGround();
    const { lab, ground } = user;
    await lab.ok('network', 'create', '--subnet', '10.100.7.0/24', '--ipv6', 'web');
    await lab.ok('network', 'create', '--subnet', '10.100.8.0/24', 'other');
    await lab.ok('network', 'create', '--subnet', '10.100.9.0/24', '--internal', 'closed');
    await user.served('a', t, '--network', 'web');
    const b = await user.served('b', t, '--network', 'web');
    const c = await user.served('c', t, '--network', 'other');
    const d = await user.served('d', t, '--network', 'closed');
    for (const netns of [ground.outside, ground.machine]) await ground.serve(netns);
    assert.equal(ground.ask(b, '10.100.7.2'), '10.100.7.3');
    assert.equal(ground.ask(b, '10.100.7.2', 53, 'udp'), '10.100.7.3');
    for (const host of ['192.0.2.1', '192.0.2.2']) {
      assert.equal(ground.ask(b, host), '192.0.2.2', host);
      assert.equal(ground.ask(b, host, 53, 'udp'), '192.0.2.2', host);
    }
    assert.equal(ground.ask(b, 'fd01::1'), 'fd01::2');
    assert.equal(ground.ask(c, '10.100.7.2', 80, 'tcp', 0.5), 'no: TimeoutError');
    assert.match(ground.ask(d, '192.0.2.1', 80, 'tcp', 0.5), /^no: /);
    // By name, too, and from no other network.
    const byName = ['sh', '-c', 'nc -w 5 a 80 </dev/null'];
    assert.match(await lab.ok('exec', 'b', ...byName), /^(10\.100\.7\.3|fd.*::3)$/);
    assert.notEqual((await lab.tare('exec', 'c', ...byName)).code, 0);
    assert.match(await lab.ok('exec', 'b', 'cat', '/etc/hosts'), /^192\.0\.2\.2\thost\.containers\.internal /m);
    // Nothing of it is in the machine's own namespace.
    assert.doesNotMatch(ground.run(ground.machine, 'ip', '-o', 'link'), /tare|veth|tap/);
    await lab.ok('rm', '-f', '-t', '0', 'a', 'b', 'c', 'd');
    await lab.ok('network', 'rm', 'web', 'other', 'closed');
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  'published ports of a user: from outside and the machine, TCP and UDP, IPv4 and IPv6, with the client’s address; free when the container has ended',
  { skip },
  async (t) => {
    await using user = new UserGround();
    const { lab, ground } = user;
    await lab.ok('network', 'create', '--ipv6', 'web');
    await user.served(
      's',
      t,
      '--network',
      'web',
      '-p',
      '8080:80',
      '-p',
      '8053:53/udp',
      '-p',
      '127.0.0.1:8081-8082:80-81',
    );
    const { outside, machine } = ground;
    assert.equal(ground.ask(outside, '192.0.2.2', 8080), '192.0.2.1');
    assert.equal(ground.ask(outside, 'fd01::2', 8080), 'fd01::1');
    assert.equal(ground.ask(outside, '192.0.2.2', 8053, 'udp'), '192.0.2.1');
    assert.equal(ground.ask(outside, 'fd01::2', 8053, 'udp'), 'fd01::1');
    const gateway = (
      await lab.ok('inspect', '--type=container', '--format', '{{.NetworkSettings.Gateway}}', 's')
    ).trim();
    assert.equal(ground.ask(machine, '127.0.0.1', 8080), gateway);
    assert.equal(ground.ask(machine, '127.0.0.1', 8053, 'udp'), gateway);
    assert.equal(ground.ask(machine, '192.0.2.2', 8080), '192.0.2.2');
    assert.match(ground.ask(machine, '::1', 8080), /:/);
    // On no more addresses than asked.
    assert.equal(ground.ask(machine, '127.0.0.1', 8081), gateway);
    assert.equal(ground.ask(outside, '192.0.2.2', 8081), 'no: ConnectionRefusedError');
    // Another container reaches it by the machine, as any client.
    const other = await user.served('other', t, '--network', 'web');
    assert.equal(ground.ask(other, '192.0.2.2', 8080), '192.0.2.2');
    assert.match(await lab.ok('port', 's'), /^80\/tcp -> 0\.0\.0\.0:8080$/m);
    const refused = async (words: RegExp, ...flags: string[]): Promise<void> => {
      const { code, stderr } = await lab.tare('run', '--rm', ...flags, lab.source, 'true');
      assert.equal(code, 125, stderr);
      assert.match(stderr, words);
    };
    await refused(/0\.0\.0\.0:8080\/tcp: container [0-9a-f]{12} has it/, '-p', '8080:80');
    await refused(/0\.0\.0\.0:80\/tcp: .*sysctl net\.ipv4\.ip_unprivileged_port_start=80$/m, '-p', '80:80');
    await refused(/8090\/sctp: only root can/, '-p', '8090:80/sctp');
    await refused(/198\.51\.100\.1:8090\/tcp: it is no address of this machine/, '-p', '198.51.100.1:8090:80');
    await lab.ok('rm', '-f', '-t', '0', 's', 'other');
    for (const [port, kind] of [
      [8080, 'tcp'],
      [8053, 'udp'],
    ] as const)
      assert.equal(ground.ask(outside, '192.0.2.2', port, kind), 'no: ConnectionRefusedError');
    await lab.ok('run', '--rm', '-p', '8080:80', '-p', '8053:53/udp', lab.source, 'true');
    assert.deepEqual(
      (await lab.leftovers()).filter((left) => !left.endsWith('.json')),
      [],
    );
  },
);

/** Sends all that comes back, by its sum, when the sender is done: half a connection goes on. */
const echo = `
import socket, threading, hashlib
s = socket.socket(); s.bind(("0.0.0.0", 81)); s.listen(500)
def one(c):
    h = hashlib.sha256(); n = 0
    while True:
        d = c.recv(65536)
        if not d: break
        h.update(d); n += len(d)
    c.sendall((h.hexdigest() + " " + str(n)).encode()); c.sendall(b"x" * 3000000); c.close()
print("ready", flush=True)
while True: threading.Thread(target=one, args=(s.accept()[0],)).start()
`;

const many = `
import socket, threading, hashlib, random, sys
def one(i):
    s = socket.create_connection(("192.0.2.2", 8080), 30)
    data = random.Random(i).randbytes(50000 if i else 20000000)
    s.sendall(data); s.shutdown(socket.SHUT_WR)
    got = b""
    while True:
        d = s.recv(65536)
        if not d: break
        got += d
    head = got[:len(got) - 3000000].decode()
    ok[i] = head == hashlib.sha256(data).hexdigest() + " " + str(len(data)) and got.endswith(b"x" * 3000000)
ok = [False] * 200
ts = [threading.Thread(target=one, args=(i,)) for i in range(200)]
[t.start() for t in ts]; [t.join() for t in ts]
print(ok.count(True))
`;

test(
  'published ports of a user: 200 connections at once, each byte comes through, also after one side has finished; refused is reset',
  { skip },
  async (t) => {
    await using user = new UserGround();
    const { lab, ground } = user;
    // With so few descriptors the keeper has 36 of them at a time; the others wait.
    const few = ['prlimit', '--nofile=256:256', launcher];
    const run = ['run', '-d', '--name', 's', '-p', '8080:81', '-p', '8082:82', lab.source, 'sleep', '1000'];
    assert.equal((await lab.exec([...few, ...run])).code, 0);
    const netns = await user.namespaceOf('s', t);
    const child = spawn('nsenter', [netnsFlag(netns), 'python3', '-c', echo], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    assert.equal(ground.run(ground.outside, 'python3', '-c', many).trim(), '200');
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8082), 'no: ConnectionResetError');
    // Nothing of all that is kept.
    const [keeper = 0] = user.pids('tare-network');
    assert.match(read(`/proc/${keeper}/limits`), /^Max open files +256 +256 /m);
    await until(() => openFiles(keeper) < 160, 10_000, `few files are open, not ${openFiles(keeper)}`);
  },
);

const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

test(
  'networks of a user: whoever is killed with -9, the next command goes on, and nothing is left',
  { skip },
  async (t) => {
    await using user = new UserGround();
    const { lab, ground } = user;
    await ground.serve(ground.outside);
    await user.served('s', t, '-p', '8080:80', '-p', '8053:53/udp');
    const netns = await user.namespaceOf('s', t);
    const works = (): void => {
      assert.equal(ground.ask(netns, '192.0.2.1'), '192.0.2.2');
      assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
      assert.equal(ground.ask(ground.outside, '192.0.2.2', 8053, 'udp'), '192.0.2.1');
    };
    works();
    for (const who of [PASTA, 'tare-tie']) {
      await user.killed(who);
      await until(() => user.pids(PASTA).length + user.pids('tare-tie').length === 0, 5_000, 'the other one is gone');
      assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
      await lab.ok('network', 'reload');
      works();
    }
    // The keeper: containers go on among each other, and the next one who starts a container mends the rest.
    for (let round = 0; round < 2; round++) {
      await user.killed('tare-network');
      await until(() => user.pids(PASTA).length === 0, 5_000, 'pasta is gone');
      assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), 'no: ConnectionRefusedError');
      const gateway = await lab.ok('run', '--rm', '--network', 'bridge', lab.source, 'ip', 'route');
      assert.match(gateway, /^default via 10\./);
      works();
    }
    assert.equal(user.pids('tare-network').length, 1);
    // The monitor, with its keeper or without: its ports are free at once, its address when somebody looks.
    await user.killed('tare: monitor');
    await until(
      () => ground.ask(ground.outside, '192.0.2.2', 8080) === 'no: ConnectionRefusedError',
      5_000,
      'its port is free',
    );
    assert.match(await lab.ok('ps', '-a', '--format', '{{.Status}}'), /^Exited/);
    await lab.ok('start', 's');
    await ground.serve(await user.namespaceOf('s', t));
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
    for (const command of ['tare-network', 'tare: monitor']) await user.killed(command);
    await lab.ok('rm', '-f', 's');
    assert.deepEqual(
      (await lab.leftovers()).filter((left) => !left.endsWith('.json')),
      [],
    );
  },
);

test(
  'networks of a user: many who start at once have one keeper, one pasta, and addresses of their own',
  { skip },
  async () => {
    await using user = new UserGround();
    const { lab } = user;
    const own = /inet (10\.[\d.]+)/;
    const seen = await Promise.all(
      Array.from({ length: 6 }, () =>
        lab.ok('run', '--rm', '--network', 'bridge', lab.source, 'ip', '-4', 'addr', 'show', 'eth0'),
      ),
    );
    assert.equal(new Set(seen.map((text) => own.exec(text)?.[1])).size, 6, seen.join('\n'));
    assert.equal(user.pids('tare-network').length, 1);
    assert.equal(user.pids(PASTA).length, 1);
    // Killed while they make it: at most one that works.
    for (let round = 0; round < 5; round++) {
      await user.killed('tare-network');
      const child = lab.spawn([launcher, 'run', '--rm', '--network', 'bridge', lab.source, 'true']);
      const closed = once(child, 'close');
      await new Promise((resolve) => setTimeout(resolve, 60 + round * 25));
      for (const { pid, command } of lab.processes()) if (/main\.cjs run/.test(command)) kill(pid);
      child.kill('SIGKILL');
      await closed;
      await lab.ok('run', '--rm', '--network', 'bridge', lab.source, 'true');
      assert.equal(user.pids('tare-network').length, 1);
    }
    const left = (await lab.ok('ps', '-aq')).split('\n').filter((id) => id !== '');
    if (left.length > 0) await lab.ok('rm', '-f', ...left);
    assert.deepEqual(
      (await lab.leftovers()).filter((left) => !left.endsWith('.json')),
      [],
    );
  },
);

test('network connect, disconnect, prune, rm of a user, while containers run', { skip }, async (t) => {
  await using user = new UserGround();
  const { lab, ground } = user;
  await lab.ok('network', 'create', '--subnet', '10.100.7.0/24', 'web');
  await lab.ok('network', 'create', '--subnet', '10.100.8.0/24', 'back');
  const a = await user.served('a', t, '--network', 'web');
  await user.served('b', t, '--network', 'back');
  await lab.ok('network', 'connect', 'back', 'a');
  assert.equal(ground.ask(a, '10.100.8.2'), '10.100.8.3');
  assert.match(await lab.ok('network', 'inspect', 'back'), /10\.100\.8\.3\/24/);
  await lab.ok('network', 'disconnect', 'back', 'a');
  assert.match(ground.ask(a, '10.100.8.2', 80, 'tcp', 0.5), /^no: /);
  assert.match((await lab.tare('network', 'rm', 'web')).stderr, /container [0-9a-f]{12} is in it/);
  await lab.ok('rm', '-f', '-t', '0', 'b');
  assert.equal(await lab.ok('network', 'prune', '-f'), 'back');
  // It starts again with its address, by a namespace of a later keeper, too.
  await lab.ok('stop', '-t', '0', 'a');
  await until(() => user.pids('tare-network').length === 0, 10_000, 'the keeper has left');
  await lab.ok('start', 'a');
  assert.match(await lab.ok('exec', 'a', 'ip', 'addr', 'show', 'eth0'), /10\.100\.7\.2\/24/);
  await lab.ok('rm', '-f', '-t', '0', 'a');
  await lab.ok('network', 'rm', 'web');
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  'networks of a user without pasta: containers reach each other and their ports, and a warning says what to do',
  { skip },
  async (t) => {
    await using user = new UserGround();
    const { lab, ground } = user;
    const without = ['env', `PATH=${join(lab.home, 'bin')}`, launcher];
    const argv = [...without, 'run', '-d', '--name', 's', '-p', '8080:80', lab.source, 'sleep', '1000'];
    const { code, stderr } = await lab.exec(argv);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /reach each other and nothing else: pasta is not installed \(Debian package passt\)/);
    const netns = await user.namespaceOf('s', t);
    await ground.serve(netns);
    await ground.serve(ground.outside);
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
    assert.match(ground.ask(netns, '192.0.2.1', 80, 'tcp', 0.5), /^no: /);
    // The next one who finds it makes the way.
    await lab.ok('network', 'reload');
    assert.equal(ground.ask(netns, '192.0.2.1'), '192.0.2.2');
  },
);

test(
  '--network pasta: a namespace of its own that looks like the machine’s, published ports, and nothing left whoever is killed',
  { skip },
  async (t) => {
    await using user = new UserGround();
    const { lab, ground } = user;
    await ground.serve(ground.outside);
    const flags = ['--network', 'pasta', '-p', '8080:80', '-p', '127.0.0.1:8053:53/udp'];
    const web = `mkdir -p /w/cgi-bin; printf '#!/bin/sh\necho; echo $REMOTE_ADDR' > /w/cgi-bin/who; chmod +x /w/cgi-bin/who; exec httpd -f -h /w`;
    await lab.ok('run', '-d', '--name', 's', ...flags, lab.source, 'sh', '-c', web);
    const netns = await user.namespaceOf('s', t);
    assert.equal(ground.ask(netns, '192.0.2.1'), '192.0.2.2');
    assert.match(ground.run(netns, 'ip', '-o', 'addr'), /192\.0\.2\.2\/24/);
    // Debian 12's pasta holds back what a server says before its client has said something.
    const page = 'http://192.0.2.2:8080/cgi-bin/who';
    assert.match(ground.run(ground.outside, 'curl', '-s', '-m', '5', page), /192\.0\.2\.1\]?\n$/);
    // Nor does it send answers of UDP back where the ports are not the same.
    assert.match(ground.run(ground.machine, 'ss', '-Huln'), /^UNCONN +0 +0 +127\.0\.0\.1:8053 .*\n$/);
    assert.match(await lab.ok('port', 's'), /^80\/tcp -> 0\.0\.0\.0:8080$/m);
    assert.equal(await lab.ok('ps', '--format', '{{.Networks}}'), 'pasta');
    const refused = async (words: RegExp, ...more: string[]): Promise<void> => {
      const { code, stderr } = await lab.tare('run', '--rm', ...more, lab.source, 'true');
      assert.equal(code, 125, stderr);
      assert.match(stderr, words);
    };
    await refused(/8080\/tcp: a program of this machine uses it/, ...flags);
    await refused(/ip_unprivileged_port_start=80$/m, '--network', 'pasta', '-p', '80:80');
    await refused(/"--netns=\/x" is no option/, '--network', 'pasta:--netns=/x');
    await refused(/Cannot start \/usr\/bin\/pasta: .*999/, '--network', 'pasta:-a,999.1.1.1');
    const address = ['--network', 'pasta:-a,10.9.9.2,-n,24,-g,10.9.9.1,-4'];
    assert.match(await lab.ok('run', '--rm', ...address, lab.source, 'ip', 'addr'), /10\.9\.9\.2\/24/);
    // It is there as long as the container, however that ends.
    await lab.ok('stop', '-t', '0', 's');
    await until(() => user.pids(PASTA).length === 0, 5_000, 'pasta has ended');
    for (const who of ['tare: monitor', 'tare-tie', PASTA]) {
      await lab.ok('start', 's');
      assert.equal(user.pids(PASTA).length, 1);
      await user.killed(who);
      await until(
        () => user.pids(PASTA).length + user.pids('tare-tie').length === 0,
        5_000,
        `nothing is left of ${who}`,
      );
      await lab.tare('stop', '-t', '0', 's');
    }
    await lab.ok('rm', '-f', 's');
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  '--egress of a user: what is on the list is reached, by name and address, and nothing else',
  { skip },
  async (t) => {
    await using user = new UserGround();
    const { lab, ground } = user;
    await lab.ok('network', 'create', '--subnet', '10.100.7.0/24', 'web');
    await user.served('a', t, '--network', 'web');
    const list = 'allow=192.0.2.1:80,a:80';
    await lab.ok('run', '-d', '--name', 'b', '--network', 'web', '--egress', list, lab.source, 'sleep', '1000');
    const b = await user.namespaceOf('b', t);
    for (const netns of [ground.outside, ground.machine]) await ground.serve(netns);
    assert.equal(ground.ask(b, '192.0.2.1'), '192.0.2.2');
    assert.equal(ground.ask(b, '192.0.2.2'), 'no: ConnectionRefusedError');
    assert.match(ground.ask(b, '192.0.2.1', 53, 'udp'), /^no: /);
    assert.match(ground.ask(b, '10.100.7.2'), /^no: /);
    assert.match(await lab.ok('exec', 'b', 'sh', '-c', 'nc -w 5 a 80 </dev/null'), /^10\.100\.7\.3$/);
    const denied = ['--since', '10m', '--until', '0s', '--filter', 'event=deny', '--format', '{{json .Attributes}}'];
    assert.match(await lab.ok('events', ...denied), /"address":"192\.0\.2\.2","port":"80","protocol":"tcp"/);
    await lab.ok('rm', '-f', '-t', '0', 'a', 'b');
    await lab.ok('network', 'rm', 'web');
    assert.deepEqual(await lab.leftovers(), []);
  },
);
