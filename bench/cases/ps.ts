import type { Case } from '../case.ts';
import { bareNode, timed } from './_commands.ts';
import { dockerImage, podmanRootfs, startSleeping, tareHost } from './_engines.ts';

/** Listing, with one container running. */
export const ps: Case = {
  name: 'ps',
  title: 'ps with one running container, from the command line',
  unit: 'ms',
  contenders: [
    ...[tareHost, podmanRootfs, dockerImage].map((commands) =>
      timed(
        commands.name,
        async (lab, stack) => {
          const name = await startSleeping(lab, stack, commands, 'ps');
          const command = [...(await commands.engine(lab)), 'ps'];
          const printed = await lab.run(command);
          if (!printed.includes(name)) throw new Error(`Cannot measure ${command.join(' ')}: it does not list ${name}`);
          return command;
        },
        commands === tareHost,
      ),
    ),
    bareNode,
  ],
  goals: [
    {
      text: 'tare ps ≤ bare node + 15 ms',
      holds: (median) => ({ value: median('tare host:'), limit: median('bare node') + 15 }),
    },
  ],
};
