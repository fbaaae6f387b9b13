import { saveFormats, saveImages } from '../../engine/save.ts';
import { isTerminal } from '../../sys/tty.ts';
import { pushWords } from '../pull-progress.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';
import { watched } from '../watch-pull.ts';

/** `tare save`: the archive goes to standard output unless a file is named. */
export const verb = defineVerb({
  usage: '[OPTIONS] IMAGE [IMAGE...]',
  flags: {
    output: {
      type: 'text',
      short: 'o',
      value: 'PATH',
      help: 'The file, or for *-dir the directory (default: standard output)',
    },
    format: { type: 'text', choices: saveFormats, standard: 'docker-archive', help: 'What is written' },
    'multi-image-archive': {
      type: 'switch',
      short: 'm',
      help: 'Accepted for compatibility: a docker-archive takes several images',
    },
    quiet: { type: 'switch', short: 'q', help: 'Print nothing' },
  },
  args: { min: 1 },
  examples: [
    ['save -o images.tar web db', 'Two images in one file'],
    ['save --format oci-archive -o web.tar web', 'With its manifest'],
  ],
  async run(context, values, images) {
    const format = saveFormats.find((known) => known === values.format) ?? 'docker-archive';
    if (values.output === undefined && isTerminal(1))
      throw new UsageError('Cannot save to a terminal: name a file with --output, or redirect');
    await watched(
      context,
      values.quiet === true,
      (how) => saveImages(context.engine, images, { ...how, format, output: values.output ?? 1, cwd: context.cwd }),
      pushWords,
    );
    return 0;
  },
});
