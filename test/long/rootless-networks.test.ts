/** Networks of users when many start at once, when whoever is killed, with many connections. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { netnsFlag } from '../../src/network/_ground.suite.ts';
import { launcher, read, until } from '../engine/lab.ts';
import { kill } from '../rootless/lab.ts';
import { canUserNet as skip, PASTA, UserGround } from '../rootless/user-ground.ts';

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
