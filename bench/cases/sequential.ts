import type { Case, Contender } from '../case.ts';
import type { Lab } from '../lab.ts';
import { openLibrary } from '../library.ts';

const count = 20;

/** One after the other without a pause: what the kernel does after each container now slows the next one. */
export const sequential: Case = {
  name: 'sequential',
  title: `${count} × true back to back, removal included: time per container`,
  unit: 'ms',
  share: 1 / 3,
  contenders: [
    {
      name: 'tare library',
      subject: true,
      async prepare(lab, stack) {
        const once = await openLibrary(lab, stack);
        return async () => {
          const begin = performance.now();
          for (let i = 0; i < count; i++) await once();
          return (performance.now() - begin) / count;
        };
      },
    },
    backToBack('crun run', async (lab) => [...(await lab.runtimeRun('crun')), lab.name('oci')]),
    backToBack('runc run', async (lab) => [...(await lab.runtimeRun('runc')), lab.name('oci')]),
    backToBack('floor', (lab) => lab.floor()),
  ],
};

function backToBack(name: string, command: (lab: Lab) => Promise<readonly string[]>): Contender {
  return {
    name,
    async prepare(lab) {
      const argv = await command(lab);
      return async () => (await lab.timer.milliseconds(argv, { count, parallel: 1 })) / count;
    },
  };
}
