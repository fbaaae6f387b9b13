import { createVolume } from '../../engine/volumes/create-volume.ts';
import { pairsOf } from '../pairs.ts';
import { defineVerb } from '../verb.ts';

/** `tare volume create`: prints the name. */
export const verb = defineVerb({
  usage: '[OPTIONS] [NAME]',
  flags: {
    driver: {
      type: 'text',
      short: 'd',
      value: 'DRIVER',
      choices: ['local'],
      standard: 'local',
      help: 'Kind of volume',
    },
    label: { type: 'list', short: 'l', value: 'KEY[=VALUE]', help: 'Attach a label' },
    opt: {
      type: 'list',
      short: 'o',
      value: 'KEY=VALUE',
      offers: ['type=tmpfs', 'type=nfs', 'type=none', 'device=', 'o=', 'o=bind'],
      help: 'What is mounted for each container: type= (tmpfs, nfs, ext4 …), device=, o= (options of mount, bind)',
    },
    ignore: { type: 'switch', help: 'One of that name that is there will do' },
  },
  args: { min: 0, max: 1 },
  examples: [
    ['volume create data', 'A directory that containers share by name: tare run -v data:/var/lib/data …'],
    ['volume create -o type=tmpfs -o o=size=64m,mode=1777 scratch', 'In memory, new for each start'],
    ['volume create -o type=nfs -o device=files.example:/export -o o=nfsvers=4 files', 'On a server'],
  ],
  async run(context, values, [name]) {
    const { driver, ignore } = values;
    context.print(
      `${await createVolume(context.engine, {
        ...(name === undefined ? {} : { name }),
        ...(driver === undefined ? {} : { driver }),
        labels: pairsOf('--label', values.label, 'KEY[=VALUE]'),
        options: pairsOf('--opt', values.opt, 'KEY=VALUE'),
        ignore: ignore === true,
      })}\n`,
    );
    return 0;
  },
});
