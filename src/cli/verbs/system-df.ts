import { type DiskUsage, diskUsage, type UsageOfKind } from '../../engine/disk-usage.ts';
import { compileFormat } from '../format.ts';
import { ago, humanSize } from '../human.ts';
import { statusText } from '../ps-row.ts';
import { renderRows } from '../rows.ts';
import { ellipsis, printable, renderTable } from '../table.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

const columns = ['Type', 'Total', 'Active', 'Size', 'Reclaimable'] as const;

/** `tare system df`. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    verbose: { type: 'switch', short: 'v', help: 'Show each image, container, volume and kept blob' },
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: Type, Total, Active, Size, Reclaimable; json: one object a line',
    },
  },
  args: { min: 0, max: 0 },
  examples: [
    ['system df', 'What images, containers, volumes and kept blobs take of the disk'],
    ['system df -v', 'The same, one by one'],
  ],
  async run(context, values) {
    const format = values.format === undefined || values.format === 'table' ? undefined : compileFormat(values.format);
    if (values.verbose === true && values.format !== undefined)
      throw new UsageError('Cannot use --verbose and --format together');
    const usage = await diskUsage(context.engine);
    context.print(
      values.verbose === true
        ? details(usage, context.now())
        : renderRows(
            [
              row('Images', usage.images),
              row('Containers', usage.containers),
              row('Local Volumes', usage.volumes),
              row('Kept Blobs', usage.blobs),
            ],
            format,
            columns,
            {},
          ),
    );
    return 0;
  },
});

function row(type: string, usage: UsageOfKind<unknown>): Readonly<Record<string, string>> {
  const percent = usage.sizeBytes === 0 ? 0 : Math.floor((usage.reclaimableBytes / usage.sizeBytes) * 100);
  return {
    Type: type,
    Total: String(usage.items.length),
    TotalCount: String(usage.items.length),
    Active: String(usage.active),
    Size: humanSize(usage.sizeBytes),
    Reclaimable: `${humanSize(usage.reclaimableBytes)} (${percent}%)`,
  };
}

function details({ images, containers, volumes, blobs }: DiskUsage, nowMs: number): string {
  const named = images.items.flatMap((image) =>
    (image.names.length === 0 ? ['<none>:<none>'] : image.names).map((name) => {
      const colon = name.lastIndexOf(':');
      return [
        printable(name.slice(0, colon)),
        printable(name.slice(colon + 1)),
        image.id.slice(0, 12),
        ago(image.createdAt, nowMs),
        humanSize(image.sizeBytes),
        humanSize(image.sharedBytes),
        humanSize(image.uniqueBytes),
        String(image.containers),
      ];
    }),
  );
  const running = containers.items.map((container) => [
    container.id.slice(0, 12),
    printable(container.image),
    `"${ellipsis(printable(container.command.join(' ')), 20)}"`,
    String(volumes.items.filter(({ users }) => users.some(({ id }) => id === container.id)).length),
    humanSize(container.writableBytes),
    humanSize(container.logBytes),
    ago(container.createdAt, nowMs),
    statusText(container, nowMs),
    container.name,
  ]);
  const used = volumes.items.map(({ name, users, sizeBytes }) => [name, String(users.length), humanSize(sizeBytes)]);
  const kept = blobs.items.map(({ digest, sizeBytes, wanted }) => [
    digest.slice(0, 19),
    humanSize(sizeBytes),
    wanted ? 'yes' : 'no',
  ]);
  const table = (title: string, headings: string, rows: readonly (readonly string[])[]): string =>
    `${title}:\n\n${renderTable([headings.split(','), ...rows])}`;
  return [
    table('Images space usage', 'REPOSITORY,TAG,IMAGE ID,CREATED,SIZE,SHARED SIZE,UNIQUE SIZE,CONTAINERS', named),
    table(
      'Containers space usage',
      'CONTAINER ID,IMAGE,COMMAND,LOCAL VOLUMES,SIZE,LOG SIZE,CREATED,STATUS,NAMES',
      running,
    ),
    table('Local Volumes space usage', 'VOLUME NAME,LINKS,SIZE', used),
    table('Kept blobs space usage', 'DIGEST,SIZE,LAYER HERE', kept),
  ].join('\n');
}
