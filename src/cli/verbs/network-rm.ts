import { removeNetwork } from '../../engine/networks.ts';
import { forEach } from '../for-each.ts';
import { defineVerb } from '../verb.ts';

/** `tare network rm`: prints the names. */
export const verb = defineVerb({
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  flags: {
    force: {
      type: 'switch',
      short: 'f',
      help: 'Disconnect containers first; a network that does not exist is no error',
    },
  },
  args: { min: 1 },
  examples: [['network rm web', 'Remove a network that no running container is in']],
  async run(context, values, names) {
    const force = values.force === true;
    return forEach(
      context,
      names,
      async (name) => {
        await removeNetwork(context.engine, name, { force });
        context.print(`${name}\n`);
      },
      { ignoreMissing: force },
    );
  },
});
