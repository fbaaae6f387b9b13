import { containerExists } from '../../engine/container-exists.ts';
import { defineVerb } from '../verb.ts';

/** `tare container exists`: the answer is the exit code. */
export const verb = defineVerb({
  usage: 'CONTAINER',
  flags: {},
  args: { min: 1, max: 1 },
  errorCode: 125,
  examples: [['container exists web', 'Exit 0 when there is one, running or not, 1 when there is none']],
  run: async (context, _, [name = '']) => ((await containerExists(context.engine, name)) ? 0 : 1),
});
