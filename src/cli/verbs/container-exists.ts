import { isKind } from '../../base/errors.ts';
import { resolveContainer } from '../../engine/names.ts';
import { defineVerb } from '../verb.ts';

/** `tare container exists`: the answer is the exit code. */
export const verb = defineVerb({
  usage: 'CONTAINER',
  flags: {},
  args: { min: 1, max: 1 },
  errorCode: 125,
  examples: [['container exists web', 'Exit 0 when there is one, running or not, 1 when there is none']],
  run(context, _, [name = '']) {
    try {
      resolveContainer(context.engine, name);
      return 0;
    } catch (error) {
      if (isKind(error, 'not-found')) return 1;
      throw error;
    }
  },
});
