import { cleanupContainer } from '../../engine/cleanup.ts';
import { defineVerb } from '../verb.ts';

/** `tare cleanup ID`: what a monitor runs as its last act. */
export const verb = defineVerb({
  usage: 'ID',
  flags: {},
  args: { min: 1, max: 1 },
  examples: [['cleanup 0123456789abcdef...', 'Collect a container whose monitor has left']],
  async run(context, _values, [id = '']) {
    await cleanupContainer(context.engine, id);
    return 0;
  },
});
