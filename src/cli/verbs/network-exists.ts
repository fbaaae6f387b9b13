import { networkExists } from '../../engine/networks.ts';
import { defineVerb } from '../verb.ts';

/** `tare network exists`: the answer is the exit code. */
export const verb = defineVerb({
  usage: 'NETWORK',
  flags: {},
  args: { min: 1, max: 1 },
  errorCode: 125,
  examples: [['network exists web', 'Exit 0 when there is one, 1 when there is none']],
  run: async (context, _, [name = '']) => ((await networkExists(context.engine, name)) ? 0 : 1),
});
