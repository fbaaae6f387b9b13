import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Case, Contender } from '../case.ts';
import type { Lab } from '../lab.ts';
import { openLibrary, type RunTimes } from '../library.ts';
import { timed, warm } from './_commands.ts';
import { floorLoop } from './floor.ts';

const rows: readonly Contender[] = [
  library('tare run + wait', (times) => times.waited, true),
  library('tare run + wait + remove', (times) => times.removed),
  timed('crun run', async (lab) => runtime(lab, 'crun')),
  spawned('crun run, from node', (lab) => runtime(lab, 'crun')),
  timed('runc run', async (lab) => runtime(lab, 'runc')),
  spawned('runc run, from node', (lab) => runtime(lab, 'runc')),
  floorLoop,
  spawned('floor, from node', (lab) => lab.floor()),
];

/** From a Node program: the library in this process, everything else started by it. One after the other without a pause. */
export const inProcess: Case = {
  name: 'in-process',
  title: "tare.run(…, ['true']).wait() from a program that runs already, warm: ten in a row after one thrown away",
  unit: 'ms',
  share: 1 / 3,
  contenders: rows.map(warm),
  goals: [
    { text: 'tare run + wait ≤ 12 ms', holds: (median) => ({ value: median('tare run + wait'), limit: 12 }) },
    // The same on any machine: where 12 was asked for, the floor took 5.7.
    {
      text: 'tare run + wait ≤ 2.1 × floor, from node',
      holds: (median) => ({ value: median('tare run + wait'), limit: 2.1 * median('floor, from node') }),
    },
    {
      text: 'tare run + wait ≤ crun run',
      holds: (median) => ({ value: median('tare run + wait'), limit: median('crun run') }),
    },
  ],
};

/** The same, each on a machine that did nothing for a moment: the kernel's first move into a cgroup then waits for an RCU grace period. */
export const inProcessIdle: Case = {
  name: 'in-process-idle',
  title: 'the same, each after a pause of 50 ms',
  unit: 'ms',
  contenders: rows,
};

function library(name: string, pick: (times: RunTimes) => number, subject = false): Contender {
  return {
    name,
    subject,
    async prepare(lab, stack) {
      const once = await openLibrary(lab, stack);
      return async () => pick(await once());
    },
  };
}

async function runtime(lab: Lab, name: 'crun' | 'runc'): Promise<readonly string[]> {
  const command = [...(await lab.runtimeRun(name)), lab.name('oci')];
  await lab.run(command);
  return command;
}

/** A row whose command is started and awaited by this Node process, as a program without the library would. */
function spawned(name: string, command: (lab: Lab) => Promise<readonly string[]>): Contender {
  return {
    name,
    async prepare(lab) {
      const [program = '', ...args] = await command(lab);
      return async () => {
        const begin = performance.now();
        const [code] = (await once(spawn(program, args, { stdio: 'ignore' }), 'exit')) as [number | null];
        const took = performance.now() - begin;
        if (code !== 0) throw new Error(`Cannot time ${program}: it ended with ${code}`);
        return took;
      };
    },
  };
}
