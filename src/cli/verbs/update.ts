import { updateContainer } from '../../engine/update.ts';
import { forEach } from '../for-each.ts';
import { limitFlags, limitsGiven } from '../limit-flags.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare update`: prints the names. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: { ...limitFlags },
  args: { min: 1 },
  examples: [
    ['update --memory 1g --memory-swap 2g --cpus 1.5 web', 'Change limits now, and for the next starts'],
    ['update --pids-limit -1 job', 'Take a limit away'],
  ],
  async run(context, values, names) {
    const resources = limitsGiven(values);
    if (Object.keys(resources).length === 0) throw new UsageError('Cannot update: nothing to change was given');
    return forEach(context, names, async (name) => {
      context.warn(await updateContainer(context.engine, name, { resources }));
      context.print(`${name}\n`);
    });
  },
});
