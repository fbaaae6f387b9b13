import { findVolume } from '../../engine/volumes/volume.ts';
import { defineVerb } from '../verb.ts';

/** `tare volume exists`: the answer is the exit code. */
export const verb = defineVerb({
  usage: 'VOLUME',
  flags: {},
  args: { min: 1, max: 1 },
  errorCode: 125,
  examples: [['volume exists data', 'Exit 0 when there is one, 1 when there is none']],
  run: (context, _, [name = '']) => (findVolume(context.engine, name) === undefined ? 1 : 0),
});
