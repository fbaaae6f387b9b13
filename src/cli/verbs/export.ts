import { exportContainer } from '../../engine/export.ts';
import { tarOutputFlags, writeTar } from '../tar-output.ts';
import { defineVerb } from '../verb.ts';

/** `tare export`: the tar goes to standard output unless a file is named. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER',
  flags: tarOutputFlags,
  args: { min: 1, max: 1 },
  examples: [
    ['export -o job.tar job', 'The root file system of a container, running or not'],
    ['export job', 'To standard output: tare export job | tare import - job:today'],
  ],
  run: (context, values, [name = '']) =>
    writeTar(context, values.output, (how) => exportContainer(context.engine, name, how)),
});
