import { pauseContainer } from '../../engine/pause.ts';
import { chooseContainers } from '../choose-containers.ts';
import { forEach } from '../for-each.ts';
import { defineVerb } from '../verb.ts';

/** `tare pause`: prints the names. */
export const verb = defineVerb({
  usage: '[OPTIONS] [CONTAINER...]',
  flags: { all: { type: 'switch', short: 'a', help: 'All that run' } },
  args: { min: 0 },
  examples: [['pause job', 'Let all processes of a container stand still; its memory stays']],
  async run(context, values, names) {
    const all = {
      name: 'all',
      given: values.all === true,
      wants: ({ state }: { state: string }) => state === 'running',
    };
    return forEach(context, await chooseContainers(context, names, all), async (name) => {
      await pauseContainer(context.engine, name);
      context.print(`${name}\n`);
    });
  },
});
