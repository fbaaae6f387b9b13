/** A pod's network and ports, on a machine in small. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { canNet, Ground, netnsFlag, server } from '../../src/network/_ground.suite.ts';
import { canRun, Lab, outcome, until } from './lab.ts';

const can = { skip: canRun || canNet.skip };

test(
  'pod create -p: the port leads to whoever listens in the pod; hosts and addresses are the pod’s',
  can,
  async () => {
    using ground = new Ground();
    await using lab = new Lab();
    for (const name of ['lib', 'lib64']) symlinkSync(`usr/${name}`, join(lab.rootfs, name));
    const box = ['-v', '/usr:/usr:ro', '--rootfs', `${lab.rootfs}:O`];
    const tare = async (...args: string[]): Promise<string> => {
      const words = args.flatMap((word) => (word === 'box' ? box : [word]));
      const { code, stdout, stderr } = await outcome(lab.startTare(words, ['nsenter', netnsFlag(ground.machine)]));
      assert.equal(code, 0, `tare ${args.join(' ')}: ${stderr}`);
      return stdout.trimEnd();
    };
    await tare('pod', 'create', '--name', 'web', '-p', '8080:80', '--dns', '9.9.9.9', '--add-host', 'db:10.0.0.9');
    await tare('run', '-d', '--pod', 'web', '--name', 'front', 'box', 'python3', '-c', server);
    for (let tries = 0; !(await tare('logs', 'front')).includes('ready'); tries++) {
      assert.ok(tries < 500, 'it listens');
      await sleep(20);
    }
    assert.equal(ground.ask(ground.outside, '192.0.2.2', 8080), '192.0.2.1');
    const files = await tare('run', '--rm', '--pod', 'web', 'box', 'cat', '/etc/hosts', '/etc/resolv.conf');
    const address = await tare('inspect', '--format', '{{.NetworkSettings.Networks.bridge.IPAddress}}', 'front');
    assert.match(address, /^10\.90\.0\.\d+$/);
    assert.match(files, new RegExp(`^10\\.0\\.0\\.9\\tdb$[^]*^${address}\\tweb$[^]*nameserver 9\\.9\\.9\\.9`, 'm'));
    const mine = await tare(
      'run',
      '--rm',
      '--pod',
      'web',
      'box',
      'python3',
      '-c',
      'import socket; print(socket.create_connection(("front", 80)).recv(99).decode())',
    );
    assert.equal(mine, '127.0.0.1', 'by the name of its neighbour');
    // Who came later is known as well, and each once.
    await tare('run', '-d', '--pod', 'web', '--name', 'back', 'box', 'sleep', '600');
    const known = 'grep -c -w -e front -e back /etc/hosts';
    for (const one of ['front', 'back']) assert.equal(await tare('exec', one, 'sh', '-c', known), '2', one);
    await tare('restart', '-t', '0', 'back');
    for (const one of ['front', 'back']) assert.equal(await tare('exec', one, 'sh', '-c', known), '2', one);
    await tare('rm', '-f', '-t', '0', 'back');
    assert.equal(
      await tare('ps', '--format', '{{.Names}} {{.Ports}} {{.Networks}}'),
      'front 0.0.0.0:8080->80/tcp bridge',
    );
    assert.equal(await tare('port', 'front'), '80/tcp -> 0.0.0.0:8080');
    assert.equal(
      await tare('pod', 'inspect', '--format', '{{json .InfraConfig.PortBindings}} {{.InfraConfig.Networks}}', 'web'),
      '{"80/tcp":[{"HostIp":"","HostPort":"8080"}]} [bridge]',
    );
    // The network outlives its containers, and ends with the pod.
    await tare('restart', '-t', '0', 'front');
    assert.equal(await tare('inspect', '--format', '{{.NetworkSettings.IPAddress}}', 'front'), address);
    await tare('pod', 'stop', '-t', '0', 'web');
    await tare('pod', 'start', 'web');
    await until(() => ground.ask(ground.outside, '192.0.2.2', 8080) === '192.0.2.1', 10_000, 'it is reached again');
    await tare('pod', 'rm', '-f', 'web');
    const attached = join(lab.engine.runRoot, 'networks', 'attached');
    assert.deepEqual(existsSync(attached) ? readdirSync(attached) : [], []);
    const rules = (): string => ground.run(ground.machine, 'nft', 'list', 'ruleset');
    await until(() => !/comment "[0-9a-f]{64}"/.test(rules()), 5000, 'rules are gone');
    await ground.links(0);
    assert.deepEqual(await lab.leftovers(), []);
  },
);
