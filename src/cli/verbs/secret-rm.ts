import { listSecrets, removeSecret } from '../../engine/secrets/store.ts';
import { forEach } from '../for-each.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare secret rm`: prints the ids of what was removed. */
export const verb = defineVerb({
  usage: '[OPTIONS] SECRET [SECRET...]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'All secrets' },
    ignore: { type: 'switch', short: 'i', help: 'One that does not exist is no error' },
  },
  args: { min: 0 },
  errorCode: 125,
  examples: [['secret rm db-password', 'Containers that run keep what they have']],
  async run(context, values, names) {
    const all = values.all === true;
    if (all === names.length > 0)
      throw new UsageError(
        all ? 'Cannot use --all with names of secrets' : 'Cannot remove secrets: name them, or give --all',
      );
    return forEach(
      context,
      all ? listSecrets(context.engine).map(({ id }) => id) : names,
      async (name) => context.print(`${await removeSecret(context.engine, name)}\n`),
      { ignoreMissing: values.ignore === true || all },
    );
  },
});
