import { readPodLogs } from '../../engine/pods/pod-logs.ts';
import { logFlags, logOptions, printLogs } from '../print-logs.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod logs`: each line with the container it is of. */
export const verb = defineVerb({
  usage: '[OPTIONS] POD',
  flags: {
    container: { type: 'text', short: 'c', value: 'CONTAINER', help: 'Only of this one, and without its id' },
    names: { type: 'switch', short: 'n', help: 'Names of containers instead of ids' },
    ...logFlags,
    tail: { type: 'text', value: 'N|all', standard: 'all', help: 'Only the last lines of each container' },
  },
  args: { min: 1, max: 1 },
  errorCode: 125,
  examples: [
    ['pod logs -n web', 'What all containers of a pod printed, by time'],
    ['pod logs -f -c db web', 'One of them, and what follows'],
  ],
  async run(context, values, [name = '']) {
    const { container, names } = values;
    const options = { ...logOptions(values, context.now()), ...(container === undefined ? {} : { only: container }) };
    await printLogs(readPodLogs(context.engine, name, options), values, ({ containerId, containerName }) => {
      if (container !== undefined) return '';
      return names === true ? `${containerName} ` : `${containerId.slice(0, 12)} `;
    });
    return 0;
  },
});
