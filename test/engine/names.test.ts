/** Names of containers on networks, as containers ask for them: on a machine in small, with a DNS server of the test's own outside. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { outcome, slowness, until } from './lab.ts';
import { NamesLab, sleeping, support } from './names-lab.ts';
import { canNetwork } from './net-lab.ts';

test(
  'containers of a network find each other by name, alias, id and address; nobody else does',
  canNetwork,
  async () => {
    await using net = new NamesLab();
    await net.ok('network', 'create', '--ipv6', 'web');
    await net.ok('network', 'create', 'back');
    const id = await net.box('db', '--network', 'web:alias=Data.Base', '--hostname', 'dbhost');
    await net.box('app', '--network', 'web');
    await net.box('both', '--network', 'back', '--network', 'web:alias=twin');
    await net.box('other', '--network', 'back');
    await net.box('plain', '--network', 'bridge');
    const address = await net.address('db', 'web');
    const v6 = await net.ok('inspect', '--format', '{{.NetworkSettings.Networks.web.GlobalIPv6Address}}', 'db');
    const both = [v6, address].sort().join(' ');
    const gateway = await net.gateway('web');
    assert.equal(
      await net.ok('exec', 'app', 'grep', '-v', '^search', '/etc/resolv.conf'),
      `nameserver ${gateway}\noptions ndots:0`,
    );
    for (const name of ['db', 'DB', 'data.base', 'dbhost', 'db.web', 'data.base.WEB', id.slice(0, 12)])
      assert.equal(await net.lookUp('app', name), both, name);
    assert.equal(
      await net.dig(
        'app',
        gateway,
        'db',
        'db/AAAA',
        'db/MX',
        'db/ANY',
        `${address.split('.').reverse().join('.')}.in-addr.arpa/PTR`,
      ),
      `NOERROR ${address}\nNOERROR ${v6}\nNOERROR\nNOERROR ${both.split(' ').sort().join(' ')}\nNOERROR db`,
    );
    assert.equal(
      await net.ok(
        'exec',
        'app',
        'python3',
        '-c',
        `import socket; print(*[socket.gethostbyaddr(a)[0] for a in ("${address}", "${v6}")])`,
      ),
      'db db',
    );
    // An address of ours that nobody has is nobody's: others are not asked.
    assert.equal(
      await net.dig('app', gateway, `${address.split('.').with(3, '250').reverse().join('.')}.in-addr.arpa/PTR`),
      'NXDOMAIN',
    );
    // By IPv6, by TCP, several at once on one connection, with EDNS.
    const gateway6 = await net.ok('network', 'inspect', '-f', '{{(index .IPAM.Config 1).Gateway}}', 'web');
    assert.equal(await net.dig('app', gateway6, 'db', 'edns=1232'), `NOERROR edns ${address}`);
    assert.equal(
      await net.dig('app', gateway, 'db', 'app', 'twin', 'tcp'),
      [address, await net.address('app', 'web'), await net.address('both', 'web')]
        .map((one) => `NOERROR ${one}`)
        .join('\n'),
    );
    // One in two networks finds those of both, by whichever gateway; its neighbours do not.
    assert.equal(await net.lookUp('both', 'db'), both);
    assert.equal(await net.lookUp('both', 'other'), await net.address('other', 'back'));
    assert.equal(
      await net.dig('other', await net.gateway('back'), 'both'),
      `NOERROR ${await net.address('both', 'back')}`,
    );
    await net.upstream();
    await net.ok('network', 'create', '--internal', 'inner');
    await net.box('alone', '--network', 'inner', '--dns', '192.0.2.1');
    assert.equal(await net.dig('alone', await net.gateway('inner'), 'db', 'example.org'), 'NXDOMAIN\nNXDOMAIN');
    // The gateway of a network answers those who live there alone: not from the next network, not from outside, not from the machine.
    for (const from of ['other', 'plain'])
      assert.match(await net.dig(from, gateway, 'db', 'wait=0.5'), /^(ConnectionRefusedError|TimeoutError)$/);
    const ask = ['python3', `${support}/dns-client.py`, gateway, 'db', 'wait=0.5'];
    net.ground.run(net.ground.outside, 'ip', 'route', 'add', `${gateway}/32`, 'via', '192.0.2.2');
    assert.match(net.ground.run(net.ground.outside, ...ask), /^(ConnectionRefusedError|TimeoutError)\n$/);
    assert.match(net.ground.run(net.ground.machine, ...ask), /^(ConnectionRefusedError|TimeoutError)\n$/);
    assert.match(await net.dig('app', gateway, 'db', 'from=127.0.0.1', 'wait=0.5'), /Error$/);
    assert.equal(net.resolvers().length, 2);
    for (const pid of net.resolvers()) {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      assert.match(status, /^Uid:\s+65530\s+65530\s+65530\s+65530$/m);
      const rights = pid === net.resolvers()[0] ? '1400' : '0400';
      assert.match(status, new RegExp(`^CapEff:\\s+000000000000${rights}$`, 'm'));
      assert.match(status, /^CapBnd:\s+0000000000000000$/m);
      assert.match(status, /^NoNewPrivs:\s+1$/m);
    }
    assert.match(readFileSync(`/proc/${net.resolvers()[1]}/status`, 'utf8'), /^Seccomp:\s+2$/m);
  },
);

test('names follow connect, disconnect, rename, start and stop at once', canNetwork, async () => {
  await using net = new NamesLab();
  await net.ok('network', 'create', 'web');
  await net.ok('network', 'create', 'back');
  await net.box('a', '--network', 'web');
  await net.box('b', '--network', 'bridge', '--dns', '9.9.9.9');
  const gateway = await net.gateway('web');
  assert.equal(
    await net.ok('exec', 'b', 'cat', '/etc/resolv.conf').then((text) => /nameserver .*/.exec(text)?.[0]),
    'nameserver 9.9.9.9',
  );
  await net.ok('network', 'connect', '--alias', 'bee', 'web', 'b');
  const b = await net.address('b', 'web');
  assert.equal(await net.dig('a', gateway, 'b', 'bee'), `NOERROR ${b}\nNOERROR ${b}`);
  assert.equal(await net.lookUp('b', 'a'), await net.address('a', 'web'));
  await net.ok('rename', 'b', 'c');
  assert.equal(await net.dig('a', gateway, 'c', 'bee'), `NOERROR ${b}\nNOERROR ${b}`);
  await net.ok('network', 'disconnect', 'web', 'c');
  assert.match(await net.ok('exec', 'c', 'cat', '/etc/resolv.conf'), /nameserver 9\.9\.9\.9/);
  await net.upstream();
  await net.box('d', '--network', 'web', '--dns', '192.0.2.1');
  // Who left is asked of others, as anybody they do not know.
  assert.equal(await net.dig('d', gateway, 'missing', 'bee'), 'NXDOMAIN\nNOERROR 203.0.113.7');
  // What a container says itself about names is left alone.
  await net.ok('exec', 'c', 'sh', '-c', 'echo nameserver 192.0.2.9 >/etc/resolv.conf');
  await net.ok('network', 'connect', 'back', 'c');
  assert.equal(await net.ok('exec', 'c', 'cat', '/etc/resolv.conf'), 'nameserver 192.0.2.9');
  await net.ok('network', 'connect', 'back', 'a');
  assert.equal(await net.lookUp('a', 'c'), await net.address('c', 'back'));
  await net.ok('restart', '-t', '0', 'c');
  assert.equal(await net.lookUp('a', 'c'), await net.address('c', 'back'));
  await net.ok('stop', '-t', '0', 'c');
  assert.notEqual(await net.dig('a', gateway, 'c'), `NOERROR ${await net.address('c', 'back')}`);
  await net.ok('rm', '-f', '-t', '0', 'a', 'c', 'd');
  await until(() => net.resolvers().length === 0, 5_000, 'the resolver ends with the last container');
  assert.equal(existsSync(join(net.lab.engine.runRoot, 'networks/names/table')), false);
  await net.clean();
});

test(
  'other names are asked of the servers: in turn, by TCP where it has to be, and only who was asked is believed',
  canNetwork,
  async () => {
    await using net = new NamesLab();
    net.ground.run(net.ground.outside, 'ip', 'addr', 'add', '192.0.2.10/24', 'dev', 'eth0');
    const { asked } = await net.upstream();
    await net.ok('network', 'create', 'web');
    const gateway = await net.gateway('web');
    await net.box(
      'a',
      '--network',
      'web',
      '--dns',
      '192.0.2.1',
      '--dns-search',
      'example.test',
      '--dns-option',
      'timeout:2',
    );
    assert.equal(
      await net.ok('exec', 'a', 'cat', '/etc/resolv.conf'),
      `search example.test\nnameserver ${gateway}\noptions timeout:2 ndots:0`,
    );
    assert.equal(
      await net.dig('a', gateway, 'example.org', 'example.org/AAAA', 'missing.org', 'ExAmPle.org'),
      'NOERROR 203.0.113.7\nNOERROR 2001:db8::7\nNXDOMAIN\nNOERROR 203.0.113.7',
    );
    assert.equal(
      await net.dig('a', gateway, 'big.org', 'big.org/AAAA', 'edns=4096'),
      'NOERROR truncated\nNOERROR truncated',
    );
    assert.equal(
      // Answers come as they come.
      (await net.dig('a', gateway, 'big.org', 'example.org', 'tcp')).split('\n').sort().join('\n'),
      'NOERROR 100 answers\nNOERROR 203.0.113.7',
    );
    assert.equal(await net.dig('a', gateway, 'oversized.org'), 'NOERROR truncated');
    assert.equal(await net.dig('a', gateway, 'oversized.org', 'edns=4096'), 'NOERROR 100 answers');
    assert.equal(await net.dig('a', gateway, 'spoofed.org'), 'NOERROR 203.0.113.7');
    assert.equal(await net.dig('a', gateway, 'broken.org'), 'SERVFAIL');
    assert.equal(await net.dig('a', gateway, 'silent.org', 'wait=8'), 'SERVFAIL');
    assert.equal(asked.filter((line) => line.startsWith('silent')).length, 3);
    assert.equal(await net.lookUp('a', 'host'), '2001:db8::7 203.0.113.7');
    // A server that is not there, one that refuses, one that answers.
    await net.box('b', '--network', 'web', '--dns', '192.0.2.77', '--dns', '192.0.2.10', '--dns', '192.0.2.1');
    assert.equal(await net.dig('b', gateway, 'example.org', 'wait=8'), 'NOERROR 203.0.113.7');
    const timed = async (name: string): Promise<number> => {
      const began = performance.now();
      assert.match(await net.dig('b', gateway, name), /^NOERROR /);
      return performance.now() - began;
    };
    // Beside a name that nobody has to be asked for: who does not answer is waited for 1.5 s.
    const more = (await timed('example.org')) - (await timed('a'));
    assert.ok(more < 1400, `${more} ms: who did not answer is not asked first again`);
    // Nobody to ask at all.
    await net.box('c', '--network', 'web', '--dns', '192.0.2.10');
    assert.equal(await net.dig('c', gateway, 'example.org'), 'SERVFAIL');
    assert.equal(
      await net.dig('c', gateway, 'a', 'example.org', 'tcp'),
      `NOERROR ${await net.address('a', 'web')}\nSERVFAIL`,
    );
  },
);

test('a thousand at once, while others come and go; what is no question gets no answer', canNetwork, async () => {
  await using net = new NamesLab();
  await net.upstream();
  await net.ok('network', 'create', 'web');
  const gateway = await net.gateway('web');
  await net.box('a', '--network', 'web', '--dns', '192.0.2.1');
  await net.box('b', '--network', 'web');
  const b = await net.address('b', 'web');
  // In an emulated machine the kernel's buffer is full before anybody looks.
  const times = slowness > 1 ? 200 : 1000;
  const many = net.dig('a', gateway, 'b', `times=${times}`);
  const others = Promise.all([1, 2, 3].map(async () => net.ok('run', '--rm', '--network', 'web', 'host:', 'true')));
  assert.equal(await many, `${times} NOERROR ${b}`);
  await others;
  assert.equal(await net.dig('a', gateway, 'slow.org', `times=${times}`, 'wait=5'), `${times} NOERROR 203.0.113.7`);
  assert.equal(await net.dig('a', gateway, 'b', 'times=300', 'tcp').then((text) => new Set(text.split('\n')).size), 1);
  const question = '0001010000010000000000000162000001' + '0001';
  assert.equal(await net.dig('a', gateway, `raw=${question}`), `NOERROR ${b}`);
  for (const [raw, said] of [
    [question.replace('0001010000010000', '0001010000020000'), 'FORMERR'],
    [question.replace('0001010000010000', '0001010000000000'), 'FORMERR'],
    [question.replace('00010100', '00012900'), 'NOTIMP'],
    // A label that is a pointer to itself; one that is longer than the message.
    ['000101000001000000000000c00c00010001', 'FORMERR'],
    ['0001010000010000000000003f6200010001', 'FORMERR'],
    // An answer, half a header, nothing.
    [question.replace('00010100', '00018100'), 'TimeoutError'],
    [question.slice(0, 20), 'TimeoutError'],
  ] as const)
    assert.equal(await net.dig('a', gateway, `raw=${raw}`, `wait=${0.5 * slowness}`), said, raw);
  assert.equal(await net.dig('a', gateway, 'b'), `NOERROR ${b}`);
  assert.equal(net.resolvers().length, 2);
  for (const pid of net.resolvers()) {
    const kilobytes = /^Rss(?:Anon|Shmem):\s+(\d+)/gm;
    const used = [...readFileSync(`/proc/${pid}/status`, 'utf8').matchAll(kilobytes)].reduce(
      (sum, [, n]) => sum + Number(n),
      0,
    );
    assert.ok(used < 1500, `${pid} has ${used} KB`);
  }
});

test(
  'kill -9 of the resolver: a worker comes back by itself, all of it with the next command',
  canNetwork,
  async () => {
    await using net = new NamesLab();
    await net.ok('network', 'create', 'web');
    const gateway = await net.gateway('web');
    await net.box('a', '--network', 'web');
    const a = await net.address('a', 'web');
    for (let round = 0; round < 3; round++) {
      const [keeper = 0, worker = 0] = net.resolvers();
      process.kill(worker, 'SIGKILL');
      await until(() => net.resolvers().length === 2 && !net.resolvers().includes(worker), 5_000, 'another worker');
      assert.equal(net.resolvers()[0], keeper);
      let said = '';
      for (let attempt = 0; attempt < 100 && said !== `NOERROR ${a}`; attempt++)
        said = await net.dig('a', gateway, 'a', 'wait=0.5');
      assert.equal(said, `NOERROR ${a}`);
    }
    process.kill(net.resolvers()[0] ?? 0, 'SIGKILL');
    await until(() => net.resolvers().length === 0, 5_000, 'both are gone');
    await net.ok('ps');
    assert.equal(await net.dig('a', gateway, 'a'), `NOERROR ${a}`);
    process.kill(net.resolvers()[0] ?? 0, 'SIGKILL');
    await net.box('b', '--network', 'web');
    assert.equal(await net.dig('a', gateway, 'b'), `NOERROR ${await net.address('b', 'web')}`);
    // Commands that are killed while they change names, several at once.
    for (let round = 0; round < 6; round++) {
      const children = ['x', 'y'].map((name) =>
        net.start('run', '--rm', '-d', '--name', name, '--network', 'web', ...sleeping),
      );
      await sleep(60 + round * 30);
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map(async (child) => outcome(child)));
      await net.ok('ps', '-a');
      assert.equal(await net.dig('a', gateway, 'a'), `NOERROR ${a}`, `round ${round}`);
      for (const name of ['x', 'y']) await net.tare('rm', '-f', '-t', '0', name);
    }
    const ids = (await net.ok('ps', '-aq')).split('\n').filter(Boolean);
    await net.ok('rm', '-f', '-t', '0', ...ids);
    await until(() => net.resolvers().length === 0, 5_000, 'none is left');
    await net.clean();
  },
);

test('port 53 of a gateway is taken: a warning, and the container asks the servers itself', canNetwork, async () => {
  await using net = new NamesLab();
  await net.upstream();
  await net.ok('network', 'create', 'web');
  const taken =
    'import socket, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 53)); print("ready", flush=True); time.sleep(600)';
  await net.ground.start(net.ground.machine, ['python3', '-c', taken]);
  const { code, stderr } = await net.tare(
    'run',
    '-d',
    '--name',
    'a',
    '--network',
    'web',
    '--dns',
    '192.0.2.1',
    ...sleeping,
  );
  assert.equal(code, 0);
  assert.match(
    stderr,
    /names of containers are not resolved in network web: cannot bind: EADDRINUSE.*; port 53 of its gateway has to be free/i,
  );
  assert.match(await net.ok('exec', 'a', 'cat', '/etc/resolv.conf'), /^nameserver 192\.0\.2\.1$/m);
  assert.equal(await net.lookUp('a', 'example.org'), '2001:db8::7 203.0.113.7');
});
