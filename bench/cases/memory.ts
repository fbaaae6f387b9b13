import type { Case, Contender } from '../case.ts';
import { processes, pssKb } from '../processes.ts';
import { dockerImage, podmanRootfs, startSleeping, tareHost, type EngineCommands } from './_engines.ts';

const containers = 10;

/** What watching a detached container costs. */
export const memory: Case = {
  name: 'memory',
  title: `PSS of the process that stays with each of ${containers} detached containers`,
  unit: 'kB',
  share: 0,
  contenders: [
    monitors(tareHost, 'tare-monitor'),
    monitors(podmanRootfs, 'conmon'),
    monitors(dockerImage, 'containerd-shim-runc-v2'),
  ],
  goals: [
    {
      text: 'tare-monitor ≤ 0.6 MB',
      holds: (median) => ({ value: median('tare-monitor'), limit: 600 }),
    },
  ],
};

function monitors(commands: EngineCommands, program: string): Contender {
  return {
    name: program,
    subject: commands === tareHost,
    async prepare(lab, stack) {
      const before = new Set(processes().map(({ pid }) => pid));
      for (let i = 0; i < containers; i++) {
        lab.signal.throwIfAborted();
        await startSleeping(lab, stack, commands, `memory-${i}`);
      }
      return async () => {
        const found = processes().filter((process) => process.program === program && !before.has(process.pid));
        if (found.length < containers) {
          throw new Error(
            `Cannot measure ${program}: ${found.length} for ${containers} containers (none is visible when another daemon runs them)`,
          );
        }
        return found.map(({ pid }) => pssKb(pid));
      };
    },
  };
}
