import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Fd } from '../../src/sys/fd.ts';
import { launcher, until } from '../engine/lab.ts';
import { canUserNet as skip, PASTA, UserGround } from '../rootless/user-ground.ts';

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

test(
  'a user’s container in a user namespace of its own has networks and ports, and one with a pasta of its own as well',
  { skip },
  async (t) => {
    await using user = new UserGround();
    const { lab, ground } = user;
    await lab.ok('network', 'create', 'web');
    // Nobody in there may make them.
    const etc = join(lab.home, 'rootfs/etc');
    for (const name of ['hosts', 'hostname', 'resolv.conf']) writeFileSync(join(etc, name), '', { flag: 'a' });
    const plain = await user.served('plain', t, '--network', 'web');
    await ground.serve(ground.outside);
    for (const [i, flags] of [
      ['--userns', 'keep-id'],
      ['--userns', 'auto'],
      ['--userns', 'nomap'],
    ].entries()) {
      const netns = await user.served(`own${i}`, t, ...flags, '--network', 'web', '-p', `809${i}:80`);
      assert.equal(ground.ask(ground.outside, '192.0.2.2', 8090 + i), '192.0.2.1', String(flags));
      assert.equal(ground.ask(netns, '192.0.2.1'), '192.0.2.2', String(flags));
      const address = await lab.ok(
        ...['inspect', '--type', 'container', '--format', '{{.NetworkSettings.Networks.web.IPAddress}}', `own${i}`],
      );
      assert.equal(ground.ask(plain, address), addressIn(plain));
      assert.match(await lab.ok('exec', 'plain', 'sh', '-c', `nc -w 5 own${i} 80 </dev/null`), /^10\./);
    }
    const pasta = ['--userns', 'keep-id', '-u', '0', '--network', 'pasta', '-p', '8099:80'];
    await lab.ok('run', '-d', '--name', 'pasta', ...pasta, lab.source, 'busybox', 'httpd', '-f', '-h', '/etc');
    assert.equal(ground.ask(await user.namespaceOf('pasta', t), '192.0.2.1'), '192.0.2.2');
    ground.run(ground.outside, 'curl', '-sf', '-m', '5', 'http://192.0.2.2:8099/hostname');
    await lab.ok('rm', '-f', '-t', '0', 'plain', 'own0', 'own1', 'own2', 'pasta');
    await lab.ok('network', 'rm', 'web');
    const left = await lab.leftovers();
    assert.deepEqual(
      left.filter((path) => !path.endsWith('/id-ranges')),
      [],
    );

    function addressIn(of: Fd): string {
      return /inet (10[.\d]+)/.exec(ground.run(of, 'ip', '-4', 'address', 'show', 'eth0'))?.[1] ?? '';
    }
  },
);

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
