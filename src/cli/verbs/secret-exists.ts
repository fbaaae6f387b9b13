import { isKind } from '../../base/errors.ts';
import { findSecret } from '../../engine/secrets/store.ts';
import { defineVerb } from '../verb.ts';

/** `tare secret exists`: the answer is the exit code. */
export const verb = defineVerb({
  usage: 'SECRET',
  flags: {},
  args: { min: 1, max: 1 },
  errorCode: 125,
  examples: [['secret exists db-password', 'Exit 0 when there is one, 1 when there is none']],
  run(context, _, [name = '']) {
    try {
      findSecret(context.engine, name);
      return 0;
    } catch (error) {
      if (isKind(error, 'not-found')) return 1;
      throw error;
    }
  },
});
