import { importVolume } from '../../engine/volumes/volume-archive.ts';
import { isTerminal } from '../../sys/tty.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';
import { watched } from '../watch-pull.ts';

/** `tare volume import`. */
export const verb = defineVerb({
  usage: 'VOLUME [FILE|-]',
  flags: {},
  args: { min: 1, max: 2 },
  examples: [
    ['volume import data data.tar', 'Unpack a tar, plain, gzip or zstd, into a volume that is there'],
    ['volume import copy', 'From standard input: tare volume export data | tare volume import copy'],
  ],
  async run(context, _, [name = '', input = '-']) {
    if (input === '-' && isTerminal(0))
      throw new UsageError('Cannot import from a terminal: name a file, or redirect standard input');
    await watched(context, true, ({ signal }) =>
      importVolume(context.engine, name, { input: input === '-' ? 0 : input, cwd: context.cwd, signal }),
    );
    return 0;
  },
});
