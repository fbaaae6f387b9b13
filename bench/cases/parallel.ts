import type { Case, Contender } from '../case.ts';
import { openLibrary } from '../library.ts';
import type { Batch } from '../timer.ts';
import { throughput } from './_commands.ts';
import { dockerImage, podmanImage, podmanRootfs, tareHost } from './_engines.ts';

const batch: Batch = { count: 48, parallel: 16 };

const inProcess: Contender = {
  name: 'tare library',
  subject: true,
  async prepare(lab, stack) {
    const once = await openLibrary(lab, stack);
    return async () => {
      const begin = performance.now();
      let left = batch.count;
      const worker = async (): Promise<void> => {
        while (left-- > 0) await once();
      };
      await Promise.all(Array.from({ length: batch.parallel }, worker));
      return batch.count / ((performance.now() - begin) / 1000);
    };
  },
};

/** Many at once: made, run and removed. */
export const parallel: Case = {
  name: 'parallel',
  title: `${batch.count} × run --rm true, ${batch.parallel} at a time, removal included`,
  unit: '/s',
  share: 1 / 8,
  contenders: [
    inProcess,
    ...[tareHost, podmanRootfs, podmanImage, dockerImage].map((engine) =>
      throughput(engine.name, batch, (lab) => engine.run(lab, '--rm')),
    ),
    throughputOfFloor(),
  ],
  goals: [
    {
      text: 'tare library ≥ 60 per second',
      holds: (median) => ({ value: median('tare library'), limit: 60 }),
      atLeast: true,
    },
  ],
};

function throughputOfFloor(): Contender {
  return {
    name: 'floor',
    async prepare(lab) {
      const command = await lab.floor();
      return async () => batch.count / ((await lab.timer.milliseconds(command, batch)) / 1000);
    },
  };
}
