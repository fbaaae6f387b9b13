import { removeContainer } from '../../engine/remove.ts';
import { forEach } from '../for-each.ts';
import { defineVerb } from '../verb.ts';

/** `tare rm`: prints the names. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: {
    force: { type: 'switch', short: 'f', help: 'Kill it first if it runs; one that does not exist is no error' },
    time: { type: 'seconds', short: 't', help: 'With --force: seconds from the stop signal to SIGKILL (default 0)' },
    volumes: { type: 'switch', short: 'v', help: 'With the anonymous volumes that were made for it' },
    ignore: { type: 'switch', short: 'i', help: 'A container that does not exist is no error' },
  },
  args: { min: 1 },
  examples: [['rm -f web job', 'Kill and remove two containers']],
  async run(context, values, names) {
    const force = values.force === true;
    return forEach(
      context,
      names,
      async (name) => {
        await removeContainer(context.engine, name, {
          force,
          volumes: values.volumes === true,
          ...(values.time === undefined ? {} : { timeoutSeconds: values.time }),
        });
        context.print(`${name}\n`);
      },
      { ignoreMissing: force || values.ignore === true },
    );
  },
});
