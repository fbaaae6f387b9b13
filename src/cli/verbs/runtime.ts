import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare runtime plan`: what the helper would do, as system calls. */
export const verb = defineVerb({
  usage: 'plan CONTAINER',
  flags: {},
  args: { min: 2, max: 2 },
  examples: [['runtime plan web', 'Print the Plan of a container: every step from clone to execve']],
  async run(context, _values, [what = '', name = '']) {
    if (what !== 'plan') throw new UsageError(`Cannot run tare runtime ${what}: expected plan`);
    const { printContainerPlan } = await import('../../engine/plan.ts');
    const text = await printContainerPlan(context.engine, name);
    context.print(text.endsWith('\n') ? text : `${text}\n`);
    return 0;
  },
});
