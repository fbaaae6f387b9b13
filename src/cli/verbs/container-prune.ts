import { pruneContainers } from '../../engine/prune-containers.ts';
import { confirm } from '../confirm.ts';
import { pruneFlags, pruneWish } from '../prune-filter.ts';
import { defineVerb } from '../verb.ts';

/** `tare container prune`: prints the ids of what was removed. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: pruneFlags,
  args: { min: 0, max: 0 },
  examples: [
    ['container prune', 'Remove all containers that do not run, after a question'],
    ['container prune -f --filter until=24h --filter label!=keep', 'Only old ones that nobody wants to keep'],
  ],
  async run(context, values) {
    const wish = pruneWish(values.filter, context.now());
    const warning = 'WARNING! This will remove all non running containers.\n';
    if (!(await confirm(context, values.force === true, warning))) return 0;
    const { removed } = await pruneContainers(context.engine, wish);
    context.print(removed.map((id) => `${id}\n`).join(''));
    return 0;
  },
});
