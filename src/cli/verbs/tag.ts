import { tagImage } from '../../engine/tag.ts';
import { defineVerb } from '../verb.ts';

/** `tare tag`. */
export const verb = defineVerb({
  usage: 'IMAGE NAME [NAME...]',
  flags: {},
  args: { min: 2 },
  examples: [['tag tool quay.io/me/tool:1.0', 'A name to push it by']],
  async run(context, _, [image = '', ...names]) {
    await tagImage(context.engine, image, names);
    return 0;
  },
});
