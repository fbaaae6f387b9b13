import { removeImage } from '../../engine/images.ts';
import { listImages } from '../../engine/list-images.ts';
import { forEach } from '../for-each.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare rmi`: says what was untagged and deleted. */
export const verb = defineVerb({
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  flags: {
    force: { type: 'switch', short: 'f', help: 'Remove all its names; one that does not exist is no error' },
    all: { type: 'switch', short: 'a', help: 'All images; those that containers use are errors' },
  },
  args: { min: 0 },
  examples: [['rmi docker.io/library/alpine:latest', 'Remove a name, and with the last one the image']],
  async run(context, values, names) {
    const all = values.all === true;
    if (all === names.length > 0)
      throw new UsageError(
        all ? 'Cannot use --all with names of images' : 'Cannot remove images: name them, or give --all',
      );
    const force = values.force === true || all;
    const doomed = all ? (await listImages(context.engine)).map(({ id }) => id) : names;
    return forEach(
      context,
      doomed,
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
