import { TareError } from '../../base/errors.ts';
import { collectedContainers } from '../../engine/list.ts';
import { resolveContainer } from '../../engine/names.ts';
import { readRecord } from '../../engine/record.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare port`: `80/tcp -> 0.0.0.0:8080`, one a line. No network publishes ports yet, so there is nothing to print. */
export const verb = defineVerb({
  usage: '[OPTIONS] [CONTAINER [PORT[/PROTOCOL]]]',
  flags: { all: { type: 'switch', short: 'a', help: 'Of all containers' } },
  args: { min: 0, max: 2 },
  examples: [
    ['port web', 'What a container publishes'],
    ['port web 80/tcp', 'Where one port of it can be reached; an error when nowhere'],
  ],
  async run(context, values, [name, wanted]) {
    if (values.all === true) {
      if (name !== undefined) throw new UsageError('Cannot use --all together with a container');
      await collectedContainers(context.engine);
      return 0;
    }
    if (name === undefined) throw new UsageError('A container is needed, or --all');
    const record = readRecord(context.engine, resolveContainer(context.engine, name));
    if (wanted === undefined) return 0;
    const port = portOf(wanted);
    throw new TareError('not-found', `Cannot find a published port: ${record.name} does not publish ${port}`);
  },
});

/** `80` is `80/tcp`. Errors: UsageError. */
function portOf(text: string): string {
  const match = /^([0-9]{1,5})(?:\/(tcp|udp|sctp))?$/.exec(text);
  const number = Number(match?.[1]);
  if (match === null || number < 1 || number > 65_535)
    throw new UsageError(`Cannot use port ${text}: expected a number from 1 to 65535, and /tcp, /udp or /sctp`);
  return `${number}/${match[2] ?? 'tcp'}`;
}
