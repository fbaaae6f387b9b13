import { prunePods } from '../../engine/pods/remove-pod.ts';
import { confirm } from '../confirm.ts';
import { pruneFlags, pruneWish } from '../prune-filter.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod prune`: prints the ids of what was removed. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: pruneFlags,
  args: { min: 0, max: 0 },
  examples: [['pod prune -f', 'Remove all pods that have ended']],
  async run(context, values) {
    const wish = pruneWish(values.filter, context.now());
    const warning = 'WARNING! This will remove all pods that have ended, with their containers.\n';
    if (!(await confirm(context, values.force === true, warning))) return 0;
    context.print((await prunePods(context.engine, wish)).map((id) => `${id}\n`).join(''));
    return 0;
  },
});
