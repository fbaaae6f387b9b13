import { untagImage } from '../../engine/tag.ts';
import { defineVerb } from '../verb.ts';

/** `tare untag`: the image stays. */
export const verb = defineVerb({
  usage: 'IMAGE [NAME...]',
  flags: {},
  args: { min: 1 },
  examples: [
    ['untag tool quay.io/me/tool:1.0', 'Take one name from it'],
    ['untag tool', 'Take all its names from it'],
  ],
  async run(context, _, [image = '', ...names]) {
    await untagImage(context.engine, image, names);
    return 0;
  },
});
