import { waitContainer } from '../../engine/wait.ts';
import { forEach } from '../for-each.ts';
import { defineVerb } from '../verb.ts';

/** `tare wait`: one exit code a line, in the order asked. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: {
    condition: { type: 'text', choices: ['not-running', 'removed'], standard: 'not-running', help: 'What to wait for' },
    ignore: { type: 'switch', help: 'A container that does not exist is no error (prints -1)' },
  },
  args: { min: 1 },
  examples: [['wait job', 'Block until a container has ended and print its exit code']],
  async run(context, values, names) {
    const condition = values.condition === 'removed' ? 'removed' : 'not-running';
    return forEach(
      context,
      names,
      async (name) => {
        const exit = await waitContainer(context.engine, name, { condition });
        context.print(`${exit?.code ?? 0}\n`);
      },
      { ignoreMissing: values.ignore === true, onMissing: () => context.print('-1\n') },
    );
  },
});
