import { cleanupContainer } from '../../engine/cleanup.ts';
import { defineVerb } from '../verb.ts';

/** `tare cleanup ID`: what a monitor runs as its last act, or to be followed by another one. */
export const verb = defineVerb({
  usage: '[OPTIONS] ID',
  flags: { again: { type: 'switch', help: 'Start it again, in place of its monitor' } },
  args: { min: 1, max: 1 },
  examples: [['cleanup 0123456789abcdef...', 'Collect a container whose monitor has left']],
  async run(context, values, [id = '']) {
    if (values.again === true) await (await import('../../engine/restart-again.ts')).restartAgain(context.engine, id);
    else await cleanupContainer(context.engine, id);
    return 0;
  },
});
