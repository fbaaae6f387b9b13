import { pruneNetworks } from '../../engine/networks.ts';
import { confirm } from '../confirm.ts';
import { pruneFlags, pruneWish } from '../prune-filter.ts';
import { defineVerb } from '../verb.ts';

/** `tare network prune`: prints the names of what was removed. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: pruneFlags,
  args: { min: 0, max: 0 },
  examples: [['network prune -f', 'Remove all networks that no container has']],
  async run(context, values) {
    const wish = pruneWish(values.filter, context.now());
    const warning = 'WARNING! This will remove all networks that no container has.\n';
    if (!(await confirm(context, values.force === true, warning))) return 0;
    const removed = await pruneNetworks(context.engine, wish);
    context.print(removed.map((name) => `${name}\n`).join(''));
    return 0;
  },
});
