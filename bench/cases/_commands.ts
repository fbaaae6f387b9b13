import type { Contender, Measure } from '../case.ts';
import type { Batch } from '../timer.ts';
import type { Lab } from '../lab.ts';

/** A row that times one command; `command` prepares and gives it. */
export function timed(
  name: string,
  command: (lab: Lab, stack: AsyncDisposableStack) => Promise<readonly string[]>,
  subject = false,
): Contender {
  return {
    name,
    subject,
    async prepare(lab, stack) {
      const argv = await command(lab, stack);
      return () => lab.timer.milliseconds(argv);
    },
  };
}

/** A row that times `true` in a container made by `engineRun` (an engine's run up to the program), after checking that it runs at all. */
export function timedRun(
  name: string,
  engineRun: (lab: Lab) => Promise<readonly string[]>,
  subject = false,
): Contender {
  return timed(name, async (lab) => [...(await checked(lab, engineRun)), 'true'], subject);
}

/** A row that gives containers per second of a batch of `true`. */
export function throughput(
  name: string,
  batch: Batch,
  engineRun: (lab: Lab) => Promise<readonly string[]>,
  subject = false,
): Contender {
  return {
    name,
    subject,
    async prepare(lab): Promise<Measure> {
      const command = [...(await checked(lab, engineRun)), 'true'];
      return async () => batch.count / ((await lab.timer.milliseconds(command, batch)) / 1000);
    },
  };
}

/** The same row without pauses: a sample is thrown away, the next ten follow each other. */
export function warm(contender: Contender): Contender {
  return {
    ...contender,
    async prepare(lab, stack) {
      const measure = await contender.prepare(lab, stack);
      return async () => {
        await measure();
        const samples: number[] = [];
        while (samples.length < 10) samples.push(...[await measure()].flat());
        return samples;
      };
    },
  };
}

/** What every command of Tare costs before its own work: the pinned Node with an empty file. */
export const bareNode: Contender = timed('bare node', async (lab) => [process.execPath, lab.emptyScript]);

/** The floor, started from the bench's C timer. */
export const floorSpawned: Contender = timed('floor', (lab) => lab.floor());

async function checked(lab: Lab, engineRun: (lab: Lab) => Promise<readonly string[]>): Promise<readonly string[]> {
  const command = await engineRun(lab);
  await lab.verify(command);
  return command;
}
