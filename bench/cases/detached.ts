import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Case } from '../case.ts';
import { processes } from '../processes.ts';
import { startSleeping, tareHost } from './_engines.ts';

const containers = 10;

/** A detached container is watched by C alone. */
export const detached: Case = {
  name: 'detached',
  title: `Node processes left by ${containers} × tare run -d`,
  unit: 'processes',
  share: 0,
  contenders: [
    {
      name: 'tare run -d',
      subject: true,
      async prepare(lab, stack) {
        const node = basename(process.execPath);
        const count = (): number => processes().filter(({ program }) => program === node).length;
        const before = count();
        for (let i = 0; i < containers; i++) {
          lab.signal.throwIfAborted();
          await startSleeping(lab, stack, tareHost, `detached-${i}`);
        }
        return async () => {
          await sleep(500);
          return count() - before;
        };
      },
    },
  ],
  goals: [{ text: 'none is left', holds: (median) => ({ value: median('tare run -d'), limit: 0 }) }],
};
