import { removeImage } from '../../engine/images.ts';
import { forEach } from '../for-each.ts';
import { defineVerb } from '../verb.ts';

/** `tare rmi`: says what was untagged and deleted. */
export const verb = defineVerb({
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  flags: { force: { type: 'switch', short: 'f', help: 'Remove all its names; one that does not exist is no error' } },
  args: { min: 1 },
  examples: [['rmi docker.io/library/alpine:latest', 'Remove a name, and with the last one the image']],
  async run(context, values, names) {
    const force = values.force === true;
    return forEach(
      context,
      names,
      async (name) => {
        const { untagged, deleted } = await removeImage(context.engine, name, { force });
        context.print(
          [...untagged.map((tag) => `Untagged: ${tag}\n`), ...deleted.map((id) => `Deleted: sha256:${id}\n`)].join(''),
        );
      },
      { ignoreMissing: force },
    );
  },
});
