import type { Case } from '../case.ts';
import { bareNode, floorSpawned, timedRun } from './_commands.ts';
import { dockerImage, podmanImage, podmanRootfs, tareHost, tareImage } from './_engines.ts';

const engines = [tareHost, tareImage, podmanRootfs, podmanImage, dockerImage];

/** The command everyone types. */
export const run: Case = {
  name: 'run',
  title: 'run --rm --network none SOURCE true, from the command line',
  unit: 'ms',
  contenders: [
    ...engines.map((engine) => timedRun(engine.name, (lab) => engine.run(lab, '--rm'), engine === tareHost)),
    bareNode,
    floorSpawned,
  ],
  goals: [
    {
      text: 'tare host: ≤ bare node + 30 ms',
      holds: (median) => ({ value: median('tare host:'), limit: median('bare node') + 30 }),
    },
    // The same on any machine: where 30 was asked for, the floor took 4 (docs/measurements).
    {
      text: 'tare host: ≤ bare node + floor + 26 ms',
      holds: (median) => ({ value: median('tare host:'), limit: median('bare node') + median('floor') + 26 }),
    },
    {
      text: 'tare host: ≤ 0.40 × podman rootfs:O',
      holds: (median) => ({ value: median('tare host:'), limit: 0.4 * median('podman rootfs:O') }),
    },
    {
      text: 'tare image ≤ 0.40 × podman image',
      holds: (median) => ({ value: median('tare image'), limit: 0.4 * median('podman image') }),
    },
  ],
};
