import { renameContainer } from '../../engine/rename.ts';
import { defineVerb } from '../verb.ts';

/** `tare rename`. */
export const verb = defineVerb({
  usage: 'CONTAINER NAME',
  flags: {},
  args: { min: 2, max: 2 },
  examples: [['rename web web-old', 'Free a name for a successor; the container may run']],
  async run(context, _, [container = '', name = '']) {
    await renameContainer(context.engine, container, name);
    return 0;
  },
});
