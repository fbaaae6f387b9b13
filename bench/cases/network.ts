import type { Case } from '../case.ts';
import { timedRun } from './_commands.ts';
import { type EngineCommands, podmanBridge, podmanImage, tareBridge, tareImage } from './_engines.ts';

const row = (name: string, engine: EngineCommands, ...flags: readonly string[]): Case['contenders'][number] =>
  timedRun(name, (lab) => engine.run(lab, '--rm', ...flags), engine === tareBridge && flags.length === 0);

/** What a network and a published port cost a start and an end. */
export const network: Case = {
  name: 'network',
  title: 'run --rm --network bridge IMAGE true, from the command line',
  unit: 'ms',
  contenders: [
    row('tare none', tareImage),
    row('tare bridge', tareBridge),
    row('tare bridge -p', tareBridge, '-p', '18080:80'),
    row('podman none', podmanImage),
    row('podman bridge', podmanBridge),
    row('podman bridge -p', podmanBridge, '-p', '18081:80'),
  ],
  goals: [
    {
      text: 'tare bridge ≤ tare none + 15 ms',
      holds: (median) => ({ value: median('tare bridge'), limit: median('tare none') + 15 }),
    },
    {
      text: 'tare bridge -p ≤ tare none + 20 ms',
      holds: (median) => ({ value: median('tare bridge -p'), limit: median('tare none') + 20 }),
    },
    {
      text: 'tare bridge ≤ 0.30 × podman bridge',
      holds: (median) => ({ value: median('tare bridge'), limit: 0.3 * median('podman bridge') }),
    },
  ],
};
