import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Case, Contender } from '../case.ts';
import { floorSpawned, warm } from './_commands.ts';

/** The floor's own loop: one process that makes a container each time it is asked. */
export const floorLoop: Contender = {
  name: 'floor, its own loop',
  async prepare(lab, stack) {
    const [program = '', ...args] = await lab.floor('-s');
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.on('error', () => {}); // Its death shows as the end of its output.
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    stack.defer(async () => {
      if (child.exitCode !== null) return;
      const gone = once(child, 'exit');
      child.stdin.end();
      await gone;
    });
    return async () => {
      child.stdin.write('.');
      const answer = await lines.next();
      if (answer.done === true) throw new Error('Cannot measure the floor: it ended');
      return Number(answer.value) / 1e6;
    };
  },
};

/** What the kernel itself takes for such a container. */
export const floor: Case = {
  name: 'floor',
  title: 'a minimal C program: the same namespaces, overlay, cgroups, mounts, pivot_root, exec',
  unit: 'ms',
  contenders: [{ ...warm(floorLoop), name: 'floor, its own loop, warm' }, floorLoop, floorSpawned],
};
