import { readPodLogs } from '../../engine/pods/pod-logs.ts';
import { writeAll } from '../output.ts';
import { parseInteger, parseTime } from '../values.ts';
import { defineVerb } from '../verb.ts';

const NEWLINE = Uint8Array.of(10);

/** `tare pod logs`: each line with the container it is of. */
export const verb = defineVerb({
  usage: '[OPTIONS] POD',
  flags: {
    container: { type: 'text', short: 'c', value: 'CONTAINER', help: 'Only of this one, and without its id' },
    follow: { type: 'switch', short: 'f', help: 'Go on until all have ended' },
    names: { type: 'switch', short: 'n', help: 'Names of containers instead of ids' },
    tail: { type: 'text', value: 'N|all', standard: 'all', help: 'Only the last lines of each container' },
    since: { type: 'text', value: 'TIME', help: 'From then on: RFC 3339, Unix seconds, or 10m for ten minutes ago' },
    until: { type: 'text', value: 'TIME', help: 'Before then' },
    timestamps: { type: 'switch', short: 't', help: 'Put the time before each line' },
  },
  args: { min: 1, max: 1 },
  errorCode: 125,
  examples: [
    ['pod logs -n web', 'What all containers of a pod printed, by time'],
    ['pod logs -f -c db web', 'One of them, and what follows'],
  ],
  async run(context, values, [name = '']) {
    const now = context.now();
    const tail = values.tail === undefined || values.tail === 'all' ? undefined : parseInteger('--tail', values.tail);
    const records = readPodLogs(context.engine, name, {
      follow: values.follow === true,
      ...(values.container === undefined ? {} : { only: values.container }),
      ...(tail === undefined ? {} : { tail }),
      ...(values.since === undefined ? {} : { since: parseTime('--since', values.since, now) }),
      ...(values.until === undefined ? {} : { until: parseTime('--until', values.until, now) }),
    });
    for await (const { stream, time, text, partial, containerId, containerName } of records) {
      const who = values.names === true ? containerName : containerId.slice(0, 12);
      const start = `${values.container === undefined ? `${who} ` : ''}${values.timestamps === true ? `${time} ` : ''}`;
      await writeAll(stream, Buffer.concat([Buffer.from(start), text, partial ? new Uint8Array() : NEWLINE]));
    }
    return 0;
  },
});
