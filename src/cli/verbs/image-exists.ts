import { isKind } from '../../base/errors.ts';
import { storedImage } from '../../engine/find-image.ts';
import { defineVerb } from '../verb.ts';

/** `tare image exists`: the answer is the exit code. */
export const verb = defineVerb({
  usage: 'IMAGE',
  flags: {},
  args: { min: 1, max: 1 },
  errorCode: 125,
  examples: [['image exists busybox', 'Exit 0 when it is in the store, 1 when it is not']],
  async run(context, _, [image = '']) {
    try {
      await storedImage(context.engine, image, 'find');
      return 0;
    } catch (error) {
      if (isKind(error, 'not-found')) return 1;
      throw error;
    }
  },
});
