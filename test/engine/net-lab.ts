/** Tare on a machine in small: a network namespace of the test's own, with an outside. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { canNet, Ground, netnsFlag, server } from '../../src/network/_ground.suite.ts';
import { canRun, Lab, type Outcome, outcome, slowness, until } from './lab.ts';

export const canNetwork = { skip: canRun || canNet.skip };

export class NetLab implements AsyncDisposable {
  readonly ground = new Ground();
  readonly lab = new Lab();
  /** Options of every container: Busybox and this machine's python. A copy of the machine would have what other tests mount. */
  readonly mounts = ['-v', '/usr:/usr:ro'];

  /** Where configurations of CNI networks are. */
  readonly cniDir = join(this.ground.dir, 'net.d');

  /** `tare ARGS` on the machine in small. */
  async tare(...args: string[]): Promise<Outcome> {
    return outcome(this.start(...args));
  }

  start(...args: string[]): ReturnType<Lab['startTare']> {
    const source = [...this.mounts, '--rootfs', `${this.lab.rootfs}:O`];
    const words = args.flatMap((word) => (word === 'host:' ? source : [word]));
    // The machine's own CNI networks are nothing to a test.
    return this.lab.startTare(words, ['env', `NETCONFPATH=${this.cniDir}`, 'nsenter', netnsFlag(this.ground.machine)]);
  }

  constructor() {
    for (const name of ['lib', 'lib64']) symlinkSync(`usr/${name}`, join(this.lab.rootfs, name));
  }

  /** The same where it must succeed: what it printed. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tare(...args);
    assert.equal(code, 0, `tare ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  }

  /** A container that tells everybody who comes to port 80 (and UDP 53) their address. */
  async serve(name: string, ...options: string[]): Promise<string> {
    const id = await this.ok('run', '-d', '--name', name, ...options, 'host:', 'python3', '-c', server);
    const end = performance.now() + 20_000 * slowness;
    while (!(await this.ok('logs', name)).includes('ready')) {
      if (performance.now() > end) throw new Error(`${name} is not ready`);
      await sleep(20);
    }
    return id;
  }

  async address(name: string, network = 'bridge'): Promise<string> {
    return this.ok('inspect', '--format', `{{.NetworkSettings.Networks.${network}.IPAddress}}`, name);
  }

  /** Waits until nothing is left: the kernel takes its time with links of a namespace that is gone. */
  async clean(what = ''): Promise<void> {
    await until(() => this.left().links.length === 0, 10_000, `links are gone ${what}`);
    assert.deepEqual(this.left(), nothing, what);
  }

  /** Links of containers, rules of ports, and leases. */
  left(): { links: string[]; ports: boolean; leases: string[]; attached: string[] } {
    const names = this.ground.run(this.ground.machine, 'ip', '-br', 'link').split('\n');
    const run = join(this.lab.engine.runRoot, 'networks');
    const list = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);
    return {
      links: names.filter((line) => line.startsWith('veth')).map((line) => line.split('@')[0] ?? ''),
      ports: /comment "[0-9a-f]{64}"/.test(this.ground.run(this.ground.machine, 'nft', 'list', 'ruleset')),
      leases: list(join(run, 'leases')).flatMap((id) =>
        list(join(run, 'leases', id)).filter((n) => !n.startsWith('.')),
      ),
      attached: list(join(run, 'attached')),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tare('rm', '-f', ...(await this.tare('ps', '-aq')).stdout.split('\n').filter(Boolean)).catch(() => {});
    await this.lab[Symbol.asyncDispose]();
    this.ground[Symbol.dispose]();
  }
}

export const nothing = { links: [], ports: false, leases: [], attached: [] };
