import { updateContainer } from '../../engine/update.ts';
import { forEach } from '../for-each.ts';
import { limitFlags, limitsGiven } from '../limit-flags.ts';
import { healthFlags, healthOf, restartOf } from '../supervise-flags.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** None of them has a standard here: what is not given stays as it is. */
const { 'health-on-failure': onFailure, ...otherHealthFlags } = healthFlags;
const { standard: _standard, ...onFailureUnsaid } = onFailure;
const updatedHealthFlags = { ...otherHealthFlags, 'health-on-failure': onFailureUnsaid } as const;

/** `tare update`: prints the names. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: {
    ...limitFlags,
    restart: {
      type: 'text',
      value: 'POLICY',
      help: 'When to start the container again after its end: no, on-failure[:N], always, unless-stopped',
    },
    ...updatedHealthFlags,
  },
  args: { min: 1 },
  examples: [
    ['update --memory 1g --memory-swap 2g --cpus 1.5 web', 'Change limits now, and for the next starts'],
    ['update --pids-limit -1 job', 'Take a limit away'],
    ['update --restart on-failure:3 job', 'Another restart policy, also for one that runs'],
    ["update --health-cmd 'test -e /ready' --health-interval 5s web", 'Another health check, from the next start on'],
  ],
  async run(context, values, names) {
    const resources = limitsGiven(values);
    const restart = restartOf(values.restart);
    const health = healthOf(values);
    const update = {
      ...(Object.keys(resources).length === 0 ? {} : { resources }),
      ...(restart === undefined ? {} : { restart }),
      ...(health === undefined ? {} : { health }),
    };
    if (Object.keys(update).length === 0) throw new UsageError('Cannot update: nothing to change was given');
    return forEach(context, names, async (name) => {
      context.warn(await updateContainer(context.engine, name, update));
      context.print(`${name}\n`);
    });
  },
});
