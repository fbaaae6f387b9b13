/** Containers in networks of Debian's CNI plugins, on a machine in small. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { canCni } from '../../src/network/cni/_ground.suite.ts';
import { pinNamespace } from '../../src/network/pin-namespace.ts';
import { isLifeHeld } from '../../src/runtime/state.ts';
import { MNT_DETACH, umount } from '../../src/sys/mount.ts';
import { outcome, until } from '../engine/lab.ts';
import { canNetwork, NetLab } from '../engine/net-lab.ts';

const can = { skip: canNetwork.skip || canCni.skip };

class CniLab extends NetLab {
  readonly #ipam = join(this.ground.dir, 'ipam');

  constructor() {
    super();
    mkdirSync(this.cniDir);
    this.ground.run(this.ground.machine, 'ip', 'link', 'set', 'lo', 'up');
    this.write('web', [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: this.hostLocal('10.50.0.0/24'),
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ]);
    this.write('point', [
      {
        type: 'ptp',
        ipam: this.hostLocal('10.51.0.0/24'),
        dns: { nameservers: ['10.51.0.53'], search: ['point.example'] },
      },
    ]);
  }

  hostLocal(subnet: string): object {
    return { type: 'host-local', dataDir: this.#ipam, ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] };
  }

  write(name: string, plugins: readonly object[], more: object = {}): void {
    writeFileSync(
      join(this.cniDir, `10-${name}.conflist`),
      JSON.stringify({ cniVersion: '1.0.0', name, plugins, ...more }),
    );
  }

  /** Addresses that are given, rules of containers, what is remembered, names of namespaces, mounts. */
  cniLeft(): object {
    const list = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);
    const { root, runRoot } = this.lab.engine;
    return {
      given: list(this.#ipam).flatMap((name) => list(join(this.#ipam, name)).filter((file) => /^\d/.test(file))),
      rules: this.ground
        .run(this.ground.machine, 'iptables-save')
        .split('\n')
        .filter((line) => line.startsWith('-A') && /10\.5\d\.|dpt/.test(line)),
      known: list(join(root, 'cni')).filter((name) => name !== 'lock'),
      names: list(join(runRoot, 'networks/netns')),
      mounts: readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(runRoot)),
    };
  }

  async cniClean(what = ''): Promise<void> {
    await until(
      () => JSON.stringify(this.cniLeft()) === JSON.stringify(nothing),
      10_000,
      `nothing is left ${what}: ${JSON.stringify(this.cniLeft())}`,
    );
  }
}

const nothing = { given: [], rules: [], known: [], names: [], mounts: [] };

test('run --network cni:NAME: addresses, a port, names, inspect, ps, port; DEL at the end', can, async () => {
  await using net = new CniLab();
  const { ground } = net;
  await ground.serve(ground.outside);
  const id = await net.serve('web', '--network', 'cni:web:ip=10.50.0.77,alias=db', '-p', '8080:80');
  assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
  assert.equal(
    await net.ok('exec', 'web', 'cat', '/etc/hosts'),
    `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.50.0.77\t${id.slice(0, 12)} web db\n10.50.0.1\thost.containers.internal host.docker.internal`,
  );
  assert.equal(await net.ok('port', 'web'), '80/tcp -> 0.0.0.0:8080');
  assert.equal(await net.ok('ps', '--format', '{{.Ports}} {{.Networks}}'), '0.0.0.0:8080->80/tcp cni:web');
  const settings =
    '{{with index .NetworkSettings.Networks "cni:web"}}{{.IPAddress}}/{{.IPPrefixLen}} {{.Gateway}} {{.MacAddress}}{{end}}';
  assert.match(
    await net.ok('inspect', '-f', settings, 'web'),
    /^10\.50\.0\.77\/24 10\.50\.0\.1 ([0-9a-f]{2}:){5}[0-9a-f]{2}$/,
  );
  assert.equal(
    await net.ok('inspect', '-f', '{{.HostConfig.NetworkMode}} {{.NetworkSettings.IPAddress}}', 'web'),
    'cni:web 10.50.0.77',
  );
  const seen = "import socket; print(socket.create_connection(('10.50.0.77', 80)).recv(99).decode())";
  assert.equal(await net.ok('run', '--rm', '--network', 'cni:web', 'host:', 'python3', '-c', seen), '10.50.0.78');
  const mapped = ['--uidmap', '0:300000:1000', '--gidmap', '0:300000:1000'];
  assert.match(
    await net.ok('run', '--rm', ...mapped, '--network', 'cni:web', 'host:', 'python3', '-c', seen),
    /^10\.50\.0\.\d+$/,
    'in a user namespace of its own, too',
  );
  const taken = await net.tare('run', '--rm', '--network', 'cni:web', '-p', '8080:80', 'host:', 'true');
  assert.deepEqual(
    [taken.code, taken.stderr],
    [125, 'Error: Cannot publish 0.0.0.0:8080/tcp: a program of this machine uses it\n'],
  );
  // Two at once, and one of ours; the plugins' nameserver.
  const links = "import os; print(*sorted(os.listdir('/sys/class/net'))); print(open('/etc/resolv.conf').read())";
  assert.equal(
    await net.ok(
      'run',
      '--rm',
      '--network',
      'cni:point:interface_name=p0',
      '--network',
      'bridge',
      '--network',
      'cni:web',
      'host:',
      'python3',
      '-c',
      links,
    ),
    'eth1 eth2 lo p0\nsearch point.example\nnameserver 10.51.0.53',
  );
  // A stop gives the address back, a start gets one.
  await net.ok('stop', '-t', '0', 'web');
  await net.cniClean('after the stop');
  await net.ok('start', 'web');
  await until(() => ground.ask(ground.outside, '192.0.2.2', 8080) === '192.0.2.1', 10_000, 'it serves again');
  await net.ok('rm', '-f', '-t', '0', 'web');
  await net.cniClean('after the removal');
  await net.clean();
});

test('network ls, inspect, exists: networks of CNI are shown, and not touched', can, async () => {
  await using net = new CniLab();
  writeFileSync(join(net.cniDir, '99-bad.conflist'), '{');
  await net.ok('network', 'create', 'own');
  assert.equal(
    await net.ok('network', 'ls', '--format', '{{.Name}} {{.Driver}} {{.Subnets}}'),
    'own bridge 10.100.0.0/24\ncni:point cni 10.51.0.0/24\ncni:web cni 10.50.0.0/24',
  );
  assert.equal(await net.ok('network', 'ls', '-q', '-f', 'driver=cni', '-f', 'name=web'), 'cni:web');
  await net.ok('run', '-d', '--name', 'a', '--network', 'cni:web', 'host:', 'sleep', '60');
  const [shown] = JSON.parse(await net.ok('network', 'inspect', 'cni:web')) as [
    { Driver: string; CNI: object; Containers: Record<string, { Name: string; IPv4Address: string }> },
  ];
  assert.equal(shown.Driver, 'cni');
  assert.deepEqual(shown.CNI, {
    Path: join(net.cniDir, '10-web.conflist'),
    Versions: ['1.0.0'],
    Plugins: ['bridge', 'portmap'],
    Capabilities: ['portMappings'],
  });
  assert.deepEqual(
    Object.values(shown.Containers).map(({ Name, IPv4Address }) => [Name, IPv4Address]),
    [['a', '10.50.0.2/24']],
  );
  assert.equal((await net.tare('network', 'exists', 'cni:web')).code, 0);
  assert.equal((await net.tare('network', 'exists', 'cni:other')).code, 1);
  for (const [args, message] of [
    [
      ['network', 'rm', 'cni:web'],
      /^Error: Cannot remove network cni:web: a container is in CNI networks from its start/,
    ],
    [['network', 'connect', 'cni:point', 'a'], /^Error: Cannot connect to network cni:point/],
    [['network', 'disconnect', 'cni:web', 'a'], /^Error: Cannot disconnect from network cni:web/],
    [
      ['network', 'inspect', 'cni:other'],
      /Cannot find CNI network other: no configuration of that name in .*; Cannot use CNI configuration .*99-bad\.conflist: not JSON/,
    ],
    [['run', '--rm', '--network', 'cni:other', 'host:', 'true'], /^Error: Cannot find CNI network other: /],
    [
      ['run', '--rm', '--network', 'cni:../x', 'host:', 'true'],
      /^Error: Cannot use --network cni:\.\.\/x: expected cni:NAME/,
    ],
    [
      ['run', '--rm', '--network', 'cni:point', '-p', '8080:80', 'host:', 'true'],
      /^Error: Cannot publish ports: no plugin of CNI network point has the capability portMappings/,
    ],
    [
      ['run', '--rm', '--network', 'cni:web:ip=10.99.0.1', 'host:', 'true'],
      /^Error: Cannot (join CNI network web: plugin bridge: |give address 10\.99\.0\.1)/,
    ],
  ] as const) {
    const failed = await net.tare(...args);
    assert.notEqual(failed.code, 0, args.join(' '));
    assert.match(failed.stderr, message);
  }
  assert.equal(await net.ok('network', 'prune', '-f'), 'own');
  await net.ok('rm', '-f', '-t', '0', 'a');
  await net.cniClean();
});

test(
  'kill -9 of the monitor, and of whoever starts: the next command has plugins undo what they did',
  can,
  async () => {
    await using net = new CniLab();
    const id = await net.serve('web', '--network', 'cni:web', '-p', '8080:80');
    process.kill(net.lab.monitorOf(id), 'SIGKILL');
    await until(() => isLifeHeld(net.lab.at(id)) !== true, 10_000, 'the monitor is dead');
    assert.notDeepEqual(net.cniLeft(), nothing);
    await net.ok('ps');
    await net.cniClean('after the monitor');
    await net.ok('rm', 'web');
    for (let round = 0; round < 8; round++) {
      const child = net.start('run', '--rm', '-d', '--network', 'cni:web', '-p', '8080:80', 'host:', 'sleep', '60');
      await sleep(60 + round * 45);
      child.kill('SIGKILL');
      await outcome(child);
      await net.ok('ps', '-a');
      const ids = (await net.ok('ps', '-aq')).split('\n').filter(Boolean);
      if (ids.length > 0) await net.ok('rm', '-f', '-t', '0', ...ids);
      await net.ok('ps', '-a');
      await net.cniClean(`round ${round}`);
    }
  },
);

test('a reboot: addresses that plugins keep on the disk come back', can, async () => {
  await using net = new CniLab();
  const id = await net.ok('run', '-d', '--name', 'web', '--network', 'cni:web', 'host:', 'sleep', '60');
  process.kill(net.lab.monitorOf(id), 'SIGKILL');
  await until(() => isLifeHeld(net.lab.at(id)) !== true, 10_000, 'the monitor is dead');
  // What the kernel forgets: mounts, rules, what is in the run root.
  umount(join(net.lab.engine.runRoot, 'networks/netns', id), MNT_DETACH);
  rmSync(join(net.lab.engine.runRoot, 'networks'), { recursive: true });
  net.ground.run(net.ground.machine, 'iptables', '-t', 'nat', '-F');
  assert.equal((net.cniLeft() as { given: string[] }).given.length, 1);
  await net.ok('ps', '-a');
  await net.cniClean();
  // Killed between a namespace's name and the first record, or after the last: the name goes as well.
  pinNamespace(join(net.lab.engine.runRoot, 'networks/netns'), id, net.ground.machine);
  await net.ok('ps', '-a');
  await net.cniClean('of a name');
});

test(
  'a restart by the monitor keeps the network; a plugin that refuses its DEL keeps nobody, and is asked again',
  can,
  async () => {
    await using net = new CniLab();
    const plugin = join(net.ground.dir, 'stubborn');
    const script = (del: string): void => {
      writeFileSync(
        plugin,
        `#!/bin/sh\ncat > /dev/null\ncase $CNI_COMMAND in ADD) echo '{"ips":[]}';; DEL) ${del};; esac\n`,
      );
      chmodSync(plugin, 0o755);
    };
    script(`echo '{"code":11,"msg":"not now"}'; exit 1`);
    net.write('stubborn', [{ type: 'stubborn' }]);
    const from = (...args: string[]): ReturnType<CniLab['tare']> =>
      outcome(
        net.lab.startTare(
          args.flatMap((word) => (word === 'host:' ? [...net.mounts, '--rootfs', `${net.lab.rootfs}:O`] : [word])),
          [
            'env',
            `NETCONFPATH=${net.cniDir}`,
            `CNI_PATH=${net.ground.dir}`,
            'nsenter',
            `--net=/proc/${process.pid}/fd/${net.ground.machine.number}`,
          ],
        ),
      );
    const first = await from('run', '-d', '--name', 'one', '--network', 'cni:stubborn', 'host:', 'sleep', '60');
    assert.equal(first.code, 0, first.stderr);
    assert.equal((await from('stop', '-t', '0', 'one')).code, 0);
    const state = (): string => (net.cniLeft() as { known: string[] }).known.join();
    assert.equal(state(), first.stdout.trim());
    await until(() => existsSync(join(net.lab.engine.root, 'cni', state(), 'owed')), 10_000, 'it is noted');
    assert.equal((await from('ps', '-a', '-q')).stdout.trim(), first.stdout.trim().slice(0, 12));
    assert.match(
      (await from('start', 'one')).stderr,
      /^Error: Cannot leave CNI network stubborn: plugin stubborn: not now \(code 11/,
    );
    assert.equal((await from('rm', 'one')).code, 0);
    assert.match((await from('network', 'reload')).stderr, /^Error: Cannot leave CNI network stubborn: /);
    script('exit 0');
    assert.equal((await from('network', 'reload')).code, 0);
    await net.cniClean();

    await net.ok(
      'run',
      '-d',
      '--name',
      'again',
      '--restart',
      'always',
      '--network',
      'cni:web',
      'host:',
      'sh',
      '-c',
      'readlink /proc/self/ns/net; sleep 0.3',
    );
    const end = performance.now() + 20_000;
    let lines: string[] = [];
    while (lines.length < 3 && performance.now() < end) {
      await sleep(100);
      lines = (await net.ok('logs', 'again')).split('\n').filter(Boolean);
    }
    assert.ok(lines.length >= 3 && new Set(lines).size === 1, lines.join('\n'));
    // A policy that comes later: another monitor goes on, which finds the same configuration.
    const later = await net.ok(
      'run',
      '-d',
      '--name',
      'later',
      '--network',
      'cni:web',
      'host:',
      'sh',
      '-c',
      'ip -4 -o addr show dev eth0; sleep 0.5',
    );
    await net.ok('update', '--restart', 'always', 'later');
    await until(
      () => readFileSync(net.lab.at(later, 'ctr.log'), 'utf8').split('eth0').length > 3,
      20_000,
      'it started again',
    );
    await net.ok('rm', '-f', '-t', '0', 'again', 'later');
    await net.cniClean();
  },
);

test('a pod in a CNI network: one address, one port, and nothing left', can, async () => {
  await using net = new CniLab();
  await net.ok('pod', 'create', '--network', 'cni:web', '-p', '8080:80', 'pod');
  await net.serve('web', '--pod', 'pod');
  assert.equal(net.ground.ask(net.ground.outside, '192.0.2.2', 8080), '192.0.2.1');
  const shown = await net.ok(
    'network',
    'inspect',
    '-f',
    '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}',
    'cni:web',
  );
  assert.equal(shown, 'pod 10.50.0.2/24');
  await net.ok('pod', 'rm', '-f', '-t', '0', 'pod');
  await net.cniClean();
});
