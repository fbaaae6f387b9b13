import { readLogs } from '../../engine/logs.ts';
import { logFlags, logOptions, printLogs } from '../print-logs.ts';
import { defineVerb } from '../verb.ts';

/** `tare logs`: what went to stdout goes to stdout, the rest to stderr. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER',
  flags: {
    ...logFlags,
    tail: { type: 'text', short: 'n', value: 'N|all', standard: 'all', help: 'Only the last lines' },
  },
  args: { min: 1, max: 1 },
  examples: [
    ['logs -f --tail 20 web', 'The last lines, and those that follow'],
    ['logs --since 10m -t web', 'The last ten minutes with times'],
  ],
  async run(context, values, [name = '']) {
    await printLogs(readLogs(context.engine, name, logOptions(values, context.now())), values);
    return 0;
  },
});
