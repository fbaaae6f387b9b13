import { unpauseContainer } from '../../engine/pause.ts';
import { chooseContainers } from '../choose-containers.ts';
import { forEach } from '../for-each.ts';
import { defineVerb } from '../verb.ts';

/** `tare unpause`: prints the names. */
export const verb = defineVerb({
  usage: '[OPTIONS] [CONTAINER...]',
  flags: { all: { type: 'switch', short: 'a', help: 'All that are paused' } },
  args: { min: 0 },
  examples: [['unpause -a', 'Let every paused container go on']],
  async run(context, values, names) {
    const all = {
      name: 'all',
      given: values.all === true,
      wants: ({ state }: { state: string }) => state === 'paused',
    };
    return forEach(context, await chooseContainers(context, names, all), async (name) => {
      await unpauseContainer(context.engine, name);
      context.print(`${name}\n`);
    });
  },
});
