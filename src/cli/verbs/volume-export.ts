import { exportVolume } from '../../engine/volumes/volume-archive.ts';
import { tarOutputFlags, writeTar } from '../tar-output.ts';
import { defineVerb } from '../verb.ts';

/** `tare volume export`: the tar goes to standard output unless a file is named. */
export const verb = defineVerb({
  usage: '[OPTIONS] VOLUME',
  flags: tarOutputFlags,
  args: { min: 1, max: 1 },
  examples: [['volume export -o data.tar data', 'Its files as a tar, also while containers use it']],
  run: (context, values, [name = '']) =>
    writeTar(context, values.output, (how) => exportVolume(context.engine, name, how)),
});
