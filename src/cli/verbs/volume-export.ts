import { resolve } from 'node:path';
import { exportVolume } from '../../engine/volumes/volume-archive.ts';
import { fileOutput } from '../../image/archive-output.ts';
import { isTerminal } from '../../sys/tty.ts';
import { writeAll } from '../output.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';
import { watched } from '../watch-pull.ts';

/** `tare volume export`: the tar goes to standard output unless a file is named. */
export const verb = defineVerb({
  usage: '[OPTIONS] VOLUME',
  flags: {
    output: {
      type: 'text',
      short: 'o',
      value: 'FILE',
      help: 'The file; it appears when it is complete (default: standard output)',
    },
  },
  args: { min: 1, max: 1 },
  examples: [['volume export -o data.tar data', 'Its files as a tar, also while containers use it']],
  async run(context, values, [name = '']) {
    const { output } = values;
    if (output === undefined && isTerminal(1))
      throw new UsageError('Cannot export to a terminal: name a file with --output, or redirect');
    return await watched(context, true, async ({ signal }) => {
      const tar = exportVolume(context.engine, name, { signal });
      if (output === undefined) {
        for await (const bytes of tar) await writeAll(1, bytes);
        return 0;
      }
      await using file = await fileOutput(resolve(context.cwd, output));
      for await (const bytes of tar) await file.write(bytes);
      await file.commit();
      return 0;
    });
  },
});
