import type { Case } from '../case.ts';
import { bareNode, timed } from './_commands.ts';
import { dockerImage, podmanRootfs, startSleeping, tareHost } from './_engines.ts';

/** A command in a container that already runs. */
export const exec: Case = {
  name: 'exec',
  title: 'exec CONTAINER true, from the command line',
  unit: 'ms',
  contenders: [
    ...[tareHost, podmanRootfs, dockerImage].map((commands) =>
      timed(
        commands.name,
        async (lab, stack) => {
          const name = await startSleeping(lab, stack, commands, 'exec');
          const exec = [...(await commands.engine(lab)), 'exec', name];
          await lab.verify(exec);
          return [...exec, 'true'];
        },
        commands === tareHost,
      ),
    ),
    bareNode,
  ],
  goals: [
    {
      text: 'tare exec ≤ 0.35 × podman exec',
      holds: (median) => ({ value: median('tare host:'), limit: 0.35 * median('podman rootfs:O') }),
    },
  ],
};
