import { loadImages } from '../../engine/load.ts';
import { isTerminal } from '../../sys/tty.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';
import { watched } from '../watch-pull.ts';

/** `tare load`: a line for each name of each image. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    input: { type: 'text', short: 'i', value: 'PATH', help: 'The archive or directory (default: standard input)' },
    quiet: { type: 'switch', short: 'q', help: 'No progress' },
  },
  args: { min: 0, max: 0 },
  examples: [
    ['load -i images.tar', 'From what docker, podman or tare saved'],
    ['load', 'From standard input, also compressed: tare load < web.tar.gz'],
  ],
  async run(context, values) {
    const { input } = values;
    if (input === undefined && isTerminal(0))
      throw new UsageError('Cannot load from a terminal: name a file with --input, or redirect');
    return await watched(context, values.quiet === true, async (how, next) => {
      for await (const { imageId, names } of loadImages(context.engine, {
        input: input ?? 0,
        cwd: context.cwd,
        ...how,
      })) {
        next();
        const shown = names.length === 0 ? [`sha256:${imageId}`] : names;
        context.print(shown.map((name) => `Loaded image: ${name}\n`).join(''));
      }
      return 0;
    });
  },
});
