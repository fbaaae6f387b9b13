import { podExists } from '../../engine/pods/pod-exists.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod exists`: the answer is the exit code. */
export const verb = defineVerb({
  usage: 'POD',
  flags: {},
  args: { min: 1, max: 1 },
  errorCode: 125,
  examples: [['pod exists web', 'Exit 0 when there is one, running or not, 1 when there is none']],
  run: async (context, _, [name = '']) => ((await podExists(context.engine, name)) ? 0 : 1),
});
