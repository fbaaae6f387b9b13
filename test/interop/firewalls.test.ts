/** Networks of ours on a machine in small whose packets others drop: real ufw, real docker. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { attach, detach } from '../../src/network/attach.ts';
import { canNet, Ground, netnsFlag } from '../../src/network/_ground.suite.ts';
import { lockNetworks } from '../../src/network/network-places.ts';
import { createNetwork } from '../../src/network/networks.ts';
import { removeNetwork } from '../../src/network/remove-network.ts';
import { needs } from '../support/needs.ts';

const can = canNet.skip || needs.program('iptables', 'unshare');
// Its package starts a daemon that changes the machine's own firewall.
const hasDocker = needs.program('dockerd', 'containerd') === false ? false : 'cannot here: docker is not installed';
const CONTAINER = 'a'.repeat(64);

class Guarded extends Ground {
  /** A shell on the machine in small, with mounts of its own; `$DIR` is a directory of the test's. */
  shell(script: string): ChildProcess {
    return spawn('nsenter', [netnsFlag(this.machine), 'unshare', '-m', 'bash', '-euc', script], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin`, DIR: this.dir },
    });
  }

  async done(script: string): Promise<void> {
    const [code] = (await once(this.shell(script), 'exit')) as [number | null];
    assert.equal(code, 0, script);
  }

  get rules(): string[] {
    return this.run(this.machine, 'iptables', '-S', 'FORWARD').trim().split('\n');
  }

  /** Whether a container reaches the outside, and is reached by its port. */
  passes(netns: Parameters<Ground['ask']>[0]): [out: string, into: string] {
    return [this.ask(netns, '192.0.2.1'), this.ask(this.outside, '192.0.2.2', 8080)];
  }
}

const both = ['192.0.2.2', '192.0.2.1'];

/** A network and a container that serves, on a machine that drops. */
async function contained(
  ground: Guarded,
): Promise<{ netns: ReturnType<Ground['namespace']>; remove(): Promise<void> }> {
  const lock = await lockNetworks(ground.places);
  const network = createNetwork(ground.places, { name: 'web' });
  lock[Symbol.dispose]();
  const netns = ground.namespace();
  await attach(ground.places, CONTAINER, netns, [{ network: 'web' }], [{ protocol: 'tcp', hostPort: 8080, port: 80 }]);
  for (const where of [netns, ground.outside]) await ground.serve(where);
  return {
    netns,
    async remove() {
      await detach(ground.places, CONTAINER, { forget: true });
      await removeNetwork(ground.places, network);
    },
  };
}

/** ufw's files are the test's own. */
const withUfw = (commands: string): string => `
  for dir in /etc/ufw /lib/ufw /etc/default; do
    mkdir -p $DIR$dir
    test -e $DIR$dir/.copied || { cp -a $dir/. $DIR$dir; touch $DIR$dir/.copied; }
    mount --bind $DIR$dir $dir
  done
  ${commands}
`;

test(
  'ufw: routed packets are denied, those of our networks pass, also after ufw reload',
  { skip: can || needs.program('ufw') },
  async () => {
    using ground = new Guarded();
    await ground.done(withUfw('ufw --force enable'));
    assert.equal(ground.rules[0], '-P FORWARD DROP');
    const before = ground.rules;
    const { netns, remove } = await contained(ground);
    assert.deepEqual(ground.passes(netns), both);
    assert.deepEqual(ground.rules.slice(0, -2), before);
    await ground.done(withUfw('ufw reload; ufw reload'));
    assert.deepEqual(ground.passes(netns), both);
    assert.equal(ground.rules.length, before.length + 2);
    await remove();
    assert.deepEqual(ground.rules, before);
  },
);

test('docker: its policy of drop, and its restart', { skip: can || hasDocker }, async () => {
  using ground = new Guarded();
  mkdirSync(join(ground.dir, 'docker'));
  const docker = (): ChildProcess =>
    ground.shell(`
      mount -t tmpfs run /run
      echo 0 > /proc/sys/net/ipv4/ip_forward
      exec dockerd --data-root $DIR/docker --exec-root /run/docker -H unix:///run/docker.sock --pidfile /run/docker.pid --storage-driver vfs 2> $DIR/docker.log
    `);
  const stop = async (child: ChildProcess): Promise<void> => {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  };
  const ready = async (): Promise<void> => {
    const end = performance.now() + 30_000;
    while (
      !ground.rules.includes('-A FORWARD -i docker0 -o docker0 -j ACCEPT') ||
      ground.rules[0] !== '-P FORWARD DROP'
    ) {
      if (performance.now() > end) throw new Error(`docker is not ready: ${ground.rules.join('; ')}`);
      await sleep(100);
    }
    // It puts its own to the head for a while.
    await sleep(1000);
  };
  let daemon = docker();
  try {
    await ready();
    const before = ground.rules;
    const { netns, remove } = await contained(ground);
    assert.deepEqual(ground.passes(netns), both);
    assert.deepEqual(ground.rules.slice(0, -2), before);
    await stop(daemon);
    daemon = docker();
    await ready();
    assert.deepEqual(ground.passes(netns), both);
    await remove();
    assert.deepEqual(ground.rules, before);
  } finally {
    await stop(daemon);
  }
});
