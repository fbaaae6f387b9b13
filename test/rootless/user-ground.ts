import assert from 'node:assert/strict';
import { openSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { canNet, Ground, netnsFlag } from '../../src/network/_ground.suite.ts';
import { Fd } from '../../src/sys/fd.ts';
import { isAlive, until } from '../engine/lab.ts';
import { needs, type Need } from '../support/needs.ts';
import { canBeUser, kill, UserLab } from './lab.ts';

/** Users can have networks here. */
export const canUserNet: Need = canBeUser || canNet.skip || needs.program('pasta', 'curl');

/** A machine in small with an outside, and a user on it. */
export class UserGround implements AsyncDisposable {
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

export const PASTA = '/usr/bin/pasta';
