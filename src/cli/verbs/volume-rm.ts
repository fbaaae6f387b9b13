import { reconcileAll } from '../../engine/reconcile.ts';
import { removeVolume } from '../../engine/volumes/remove-volume.ts';
import { volumeNames } from '../../engine/volumes/volume.ts';
import { forEach } from '../for-each.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare volume rm`: prints the names. */
export const verb = defineVerb({
  usage: '[OPTIONS] VOLUME [VOLUME...]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'All volumes' },
    force: {
      type: 'switch',
      short: 'f',
      help: 'Remove the containers that use it, running ones too; one that does not exist is no error',
    },
    time: { type: 'seconds', short: 't', help: 'With --force: seconds from the stop signal to SIGKILL (default 0)' },
  },
  args: { min: 0 },
  examples: [['volume rm data', 'Delete a volume and all that is in it']],
  async run(context, values, names) {
    const all = values.all === true;
    if (all && names.length > 0) throw new UsageError('Cannot use --all and a name together');
    if (!all && names.length === 0)
      throw new UsageError(
        'Cannot run tare volume rm: it takes at least 1 argument, not 0 (see tare volume rm --help)',
      );
    const force = values.force === true;
    await reconcileAll(context.engine);
    return forEach(
      context,
      all ? volumeNames(context.engine) : names,
      async (name) => {
        await removeVolume(context.engine, name, {
          force,
          ...(values.time === undefined ? {} : { timeoutSeconds: values.time }),
        });
        context.print(`${name}\n`);
      },
      { ignoreMissing: force || all },
    );
  },
});
