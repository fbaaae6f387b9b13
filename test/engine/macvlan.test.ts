/** Containers with addresses of the network that the machine is in itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from './lab.ts';
import { canNetwork, NetLab } from './net-lab.ts';
import { Ground } from '../../src/network/_ground.suite.ts';

/** Some kernels are made without. */
function lacks(kind: string, ...on: string[]): string | false {
  if (canNetwork.skip !== false) return canNetwork.skip;
  using ground = new Ground();
  try {
    ground.run(ground.machine, 'ip', 'link', 'add', ...on, 'name', 'try', 'type', kind);
    return false;
  } catch {
    return `cannot here: this kernel has no ${kind}`;
  }
}

const ask = "import socket; print(socket.create_connection(('192.0.2.1', 80), 5).recv(99).decode())";

for (const driver of ['macvlan', 'ipvlan'] as const)
  test(
    `network create -d ${driver}: run, inspect, stop and start, connect, prune`,
    { skip: lacks(driver, 'link', 'eth0') },
    async () => {
      await using net = new NetLab();
      const { ground } = net;
      await ground.serve(ground.outside);
      const lan = ['--subnet', '192.0.2.0/24', '--gateway', '192.0.2.1', '--ip-range', '192.0.2.128/25'];
      assert.equal(await net.ok('network', 'create', '-d', driver, '-o', 'parent=eth0', ...lan, 'lan'), 'lan');
      assert.equal(
        await net.ok('network', 'ls', '--format', '{{.Name}} {{.Driver}} {{.Subnets}}'),
        `lan ${driver} 192.0.2.0/24`,
      );
      assert.equal(
        await net.ok('network', 'inspect', '-f', '{{.Driver}} {{.Interface}} {{.Options.parent}}', 'lan'),
        `${driver} eth0 eth0`,
      );
      assert.equal(await net.ok('run', '--rm', '--network', 'lan', 'host:', 'python3', '-c', ask), '192.0.2.128');
      await net.serve('web', '--network', 'lan:ip=192.0.2.200');
      assert.equal(ground.ask(ground.outside, '192.0.2.200'), '192.0.2.1');
      assert.equal(await net.address('web', 'lan'), '192.0.2.200');
      // The gateway is not this machine: it has no name of it.
      assert.doesNotMatch(await net.ok('exec', 'web', 'cat', '/etc/hosts'), /host\.containers\.internal/);
      await net.ok('restart', '-t', '0', 'web');
      await until(() => ground.ask(ground.outside, '192.0.2.200') === '192.0.2.1', 20_000, 'it serves again');
      const refused = await net.tare('run', '--rm', '--network', 'lan', '-p', '8080:80', 'host:', 'true');
      assert.deepEqual(
        [refused.code, refused.stderr],
        [
          125,
          "Error: Cannot publish ports: containers of network lan are reached at their own addresses, not by this machine's; add a network with a bridge (--network bridge)\n",
        ],
      );
      await net.ok('run', '-d', '--name', 'b', '--network', 'bridge', 'host:', 'sleep', '60');
      await net.ok('network', 'connect', 'lan', 'b');
      assert.match(
        await net.ok('exec', 'b', 'ip', '-4', '-o', 'addr', 'show', 'dev', 'eth1'),
        /inet 192\.0\.2\.1[3-9]\d\/24/,
      );
      await net.ok('network', 'reload');
      await net.ok('network', 'disconnect', 'lan', 'b');
      assert.notEqual((await net.tare('exec', 'b', 'ip', 'link', 'show', 'eth1')).code, 0);
      assert.match((await net.tare('network', 'rm', 'lan')).stderr, /container [0-9a-f]{12} is in it/);
      await net.ok('rm', '-f', '-t', '0', 'web', 'b');
      assert.equal(await net.ok('network', 'prune', '-f'), 'lan');
      await net.clean();
      for (const [args, message] of [
        [['-d', driver, 'x'], /^Error: Cannot create network x: say which link of this machine its containers share/],
        [['-d', driver, '-o', 'parent=eth0', 'x'], /addresses by DHCP are not supported/],
        [
          ['-d', driver, '--ipam-driver', 'dhcp', '-o', 'parent=eth0', 'x'],
          /^Error: Cannot create network x: addresses by --ipam-driver dhcp are not supported/,
        ],
        [['-d', driver, '-o', 'parent=eth9', ...lan, 'x'], /its parent eth9 is no link of this machine/],
      ] as const) {
        const failed = await net.tare('network', 'create', ...args);
        assert.equal(failed.code, 125, args.join(' '));
        assert.match(failed.stderr, message);
      }
    },
  );

test('network create -d macvlan --internal: containers reach each other alone', { skip: lacks('dummy') }, async () => {
  await using net = new NetLab();
  await net.ok('network', 'create', '-d', 'macvlan', '--internal', 'inner');
  await net.serve('a', '--network', 'inner');
  const other = `import socket; print(socket.create_connection(("${await net.address('a', 'inner')}", 80), 5).recv(99).decode())`;
  assert.match(await net.ok('run', '--rm', '--network', 'inner', 'host:', 'python3', '-c', other), /^10\.100\.0\./);
  assert.equal((await net.tare('run', '--rm', '--network', 'inner', 'host:', 'python3', '-c', ask)).code, 1);
  await net.ok('rm', '-f', '-t', '0', 'a');
  await net.ok('network', 'rm', 'inner');
  assert.doesNotMatch(net.ground.run(net.ground.machine, 'ip', '-br', 'link'), /tare/);
});
