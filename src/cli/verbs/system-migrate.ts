import { migrate } from '../../engine/migrate.ts';
import { defineVerb } from '../verb.ts';

/** `tare system migrate`: prints the names of the containers it stopped. */
export const verb = defineVerb({
  usage: '',
  flags: {},
  args: { min: 0, max: 0 },
  errorCode: 125,
  examples: [['system migrate', 'After a change of /etc/subuid or /etc/subgid']],
  async run(context) {
    for (const name of await migrate(context.engine)) context.print(`${name}\n`);
    return 0;
  },
});
