import { resolveContainer } from '../../engine/names.ts';
import { readRecord } from '../../engine/record.ts';
import { startContainer } from '../../engine/start.ts';
import { attachFlags } from '../create-flags.ts';
import { forEach } from '../for-each.ts';
import { stayAttached, streamsOf } from '../stay-attached.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare start`: prints the names; with -a the exit code is the container's. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: {
    attach: { type: 'switch', short: 'a', help: 'Connect its output and forward signals' },
    interactive: { type: 'switch', short: 'i', help: 'Connect its standard input' },
    ...attachFlags,
  },
  args: { min: 1 },
  examples: [['start -ai job', 'Start a container and stay connected']],
  async run(context, values, names) {
    const stdin = values.interactive === true;
    if (values.attach !== true && !stdin) {
      return forEach(context, names, async (name) => {
        const container = await startContainer(context.engine, name, { attach: false, stdin: false });
        context.warn(container.warnings);
        context.print(`${name}\n`);
      });
    }
    const [name, ...more] = names;
    if (name === undefined || more.length > 0)
      throw new UsageError('Cannot attach to several containers at once: start one at a time');
    const record = readRecord(context.engine, resolveContainer(context.engine, name));
    const stay = await stayAttached({ ...streamsOf([], stdin && record.openStdin) }, record.terminal, values);
    const container = await startContainer(context.engine, name, { attach: true, stdin });
    context.warn(container.warnings);
    return stay(container, record.autoRemove);
  },
});
