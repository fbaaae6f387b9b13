import { TareError } from '../../base/errors.ts';
import { initializeContainer } from '../../engine/initialize.ts';
import { listContainers } from '../../engine/list.ts';
import { chooseContainers } from '../choose-containers.ts';
import type { Context } from '../context.ts';
import { forEach } from '../for-each.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare init`: prints the names. */
export const verb = defineVerb({
  usage: '[OPTIONS] [CONTAINER...]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'All that were created or have ended' },
    latest: { type: 'switch', short: 'l', help: 'The newest container; no name is given then' },
  },
  args: { min: 0 },
  examples: [
    ['init web', 'Make everything of it but the start: namespaces, mounts, limits'],
    ['container init --all', 'Whatever does not run'],
  ],
  async run(context, values, names) {
    const chosen = values.latest === true ? newest(context, values.all === true || names.length > 0) : undefined;
    const all = {
      name: 'all',
      given: values.all === true,
      wants: ({ state }: { state: string }) => state === 'created' || state === 'exited',
    };
    return forEach(context, chosen ?? (await chooseContainers(context, names, all)), async (name) => {
      context.warn(await initializeContainer(context.engine, name));
      context.print(`${name}\n`);
    });
  },
});

function newest(context: Context, others: boolean): readonly string[] {
  if (others) throw new UsageError('Cannot use --latest together with --all or the names of containers');
  const [found] = listContainers(context.engine);
  if (found === undefined) throw new TareError('not-found', 'Cannot initialize the newest container: there is none');
  return [found.name];
}
