/** A lab for pods. */
import assert from 'node:assert/strict';
import { listPods, type PodSummary } from '../../src/engine/pods/list-pods.ts';
import { summarize } from '../../src/engine/list.ts';
import { resolveContainer } from '../../src/engine/names.ts';
import { Lab, type Outcome } from './lab.ts';

/** A lab whose command lines begin containers with `box`. */
export class PodLab extends Lab {
  /** `tare ARGS` that must succeed: what it printed. `box` stands for the lab's file system. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.line(...args);
    assert.equal(code, 0, `tare ${args.join(' ')}: ${stderr}`);
    return stdout.trimEnd();
  }

  async refused(code: number, ...args: string[]): Promise<string> {
    const outcome = await this.line(...args);
    assert.equal(outcome.code, code, `tare ${args.join(' ')}: ${outcome.stdout}${outcome.stderr}`);
    return outcome.stderr.trimEnd();
  }

  line(...args: string[]): Promise<Outcome> {
    return this.tare(...args.flatMap((word) => (word === 'box' ? ['--rootfs', `${this.rootfs}:O`] : [word])));
  }

  async pod(name: string): Promise<PodSummary> {
    const found = (await listPods(this.engine)).find((pod) => pod.name === name);
    assert.ok(found, `pod ${name}`);
    return found;
  }

  async state(name: string): Promise<string> {
    return (await this.pod(name)).state;
  }

  pidOf(id: string): number {
    const pid = summarize(this.engine, id)?.pid;
    assert.ok(pid, `pid of ${id}`);
    return pid;
  }

  idOf(name: string): string {
    return resolveContainer(this.engine, name);
  }

  async clean(): Promise<void> {
    assert.deepEqual(await this.leftovers(), []);
  }
}
