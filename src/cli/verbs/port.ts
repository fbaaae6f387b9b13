import { TareError } from '../../base/errors.ts';
import { networkHolder } from '../../engine/holds-networks.ts';
import { collectedContainers } from '../../engine/list.ts';
import { resolveContainer } from '../../engine/names.ts';
import type { Engine } from '../../engine/engine.ts';
import { readRecord } from '../../engine/record.ts';
import { reconcile } from '../../engine/reconcile.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare port`: `80/tcp -> 0.0.0.0:8080`, one a line; with --all the container's id before it. */
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
      for (const { id, ports = [] } of await collectedContainers(context.engine))
        if (ports.length > 0)
          context.print((await linesOf(context.engine, id)).map((line) => `${id.slice(0, 12)}\t${line}\n`).join(''));
      return 0;
    }
    if (name === undefined) throw new UsageError('A container is needed, or --all');
    const id = resolveContainer(context.engine, name);
    await reconcile(context.engine, id);
    const record = readRecord(context.engine, id);
    const { net } = readRecord(context.engine, networkHolder(record));
    const lines = (net?.ports.length ?? 0) === 0 ? [] : await linesOf(context.engine, id);
    if (wanted === undefined) {
      context.print(lines.map((line) => `${line}\n`).join(''));
      return 0;
    }
    const port = portOf(wanted);
    const places = lines.filter((line) => line.startsWith(`${port} -> `)).map((line) => line.slice(port.length + 4));
    if (places.length === 0)
      throw new TareError('not-found', `Cannot find a published port: ${record.name} does not publish ${port}`);
    context.print(places.map((place) => `${place}\n`).join(''));
    return 0;
  },
});

/** Of a container that runs; nothing of another one. */
async function linesOf(engine: Engine, id: string): Promise<string[]> {
  const { publishedPorts, portMap } = await import('../../engine/network-view.ts');
  return Object.entries(portMap(publishedPorts(engine, id))).flatMap(([port, places]) =>
    places.map(({ HostIp, HostPort }) => `${port} -> ${HostIp.includes(':') ? `[${HostIp}]` : HostIp}:${HostPort}`),
  );
}

/** `80` is `80/tcp`. Errors: UsageError. */
function portOf(text: string): string {
  const match = /^([0-9]{1,5})(?:\/(tcp|udp|sctp))?$/.exec(text);
  const number = Number(match?.[1]);
  if (match === null || number < 1 || number > 65_535)
    throw new UsageError(`Cannot use port ${text}: expected a number from 1 to 65535, and /tcp, /udp or /sctp`);
  return `${number}/${match[2] ?? 'tcp'}`;
}
