/** CNI networks in a machine in small: Debian's plugins in its namespace, and plugins of a test's own that say what they were asked. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needs } from '../../../test/support/needs.ts';
import type { Fd } from '../../sys/fd.ts';
import { canNet, Ground, netnsFlag } from '../_ground.suite.ts';
import { type CniNetwork, parseCniNetwork } from './cni-network.ts';
import type { CniGround } from './delete.ts';

const DEBIAN_DIR = '/usr/lib/cni';

export const canCni = {
  skip:
    canNet.skip ||
    needs.program('iptables') ||
    (!existsSync(join(DEBIAN_DIR, 'bridge')) && 'needs containernetworking-plugins'),
};

export class CniMachine implements Disposable {
  readonly ground = new Ground();
  readonly dir = this.ground.dir;
  readonly ownPlugins = join(this.dir, 'plugins');
  readonly cni: CniGround = {
    stateDir: join(this.dir, 'cni'),
    pluginDirs: [this.ownPlugins, DEBIAN_DIR],
    timeoutMs: 20_000,
    within: ['nsenter', netnsFlag(this.ground.machine)],
  };

  constructor() {
    mkdirSync(this.ownPlugins);
    this.ground.run(this.ground.machine, 'ip', 'link', 'set', 'lo', 'up');
  }

  /** Addresses that host-local gives, kept below the test's directory. */
  hostLocal(subnet: string, more: object = {}): object {
    return {
      type: 'host-local',
      dataDir: join(this.dir, 'ipam'),
      ranges: [[{ subnet }]],
      routes: [{ dst: '0.0.0.0/0' }],
      ...more,
    };
  }

  /** Addresses that host-local has given, by file. */
  given(network: string): string[] {
    const dir = join(this.dir, 'ipam', network);
    return existsSync(dir) ? readdirSync(dir).filter((name) => /^\d/.test(name)) : [];
  }

  network(name: string, plugins: readonly object[], more: object = {}): CniNetwork {
    return parseCniNetwork(
      JSON.stringify({ cniVersion: '1.0.0', name, plugins, ...more }),
      `/etc/cni/net.d/${name}.conflist`,
    );
  }

  /** A plugin that appends `NAME COMMAND` to a log, and its input to another; `script` decides the rest. */
  plugin(name: string, script: string): void {
    const path = join(this.ownPlugins, name);
    writeFileSync(
      path,
      `#!/bin/sh\nread -r input\necho "${name} $CNI_COMMAND" >> ${this.dir}/calls\necho "$input" >> ${this.dir}/inputs\n${script}\n`,
    );
    chmodSync(path, 0o755);
  }

  get calls(): string[] {
    return this.#lines('calls');
  }

  get inputs(): Record<string, unknown>[] {
    return this.#lines('inputs').map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  #lines(name: string): string[] {
    const path = join(this.dir, name);
    return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
  }

  /** How plugins find a namespace of ours. */
  path(netns: Fd): string {
    return `/proc/${process.pid}/fd/${netns.number}`;
  }

  /** What iptables has, but for empty chains. */
  rules(): string[] {
    return this.ground
      .run(this.ground.machine, 'iptables-save')
      .split('\n')
      .filter((line) => line.startsWith('-A'));
  }

  links(): string[] {
    return this.ground
      .run(this.ground.machine, 'ip', '-br', 'link')
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(/[\s@]/)[0] ?? '')
      .filter((name) => name !== 'lo' && name !== 'eth0');
  }

  [Symbol.dispose](): void {
    this.ground[Symbol.dispose]();
  }
}
