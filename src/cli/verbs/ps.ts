import { type ContainerSummary, collectedContainers, isLive } from '../../engine/list.ts';
import type { Context } from '../context.ts';
import type { FlagTable, FlagValues } from '../flag-table.ts';
import type { Format } from '../format.ts';
import { psFilterOffers } from '../ps-filter-keys.ts';
import { psColumns, psHeadings, psJson, psRow } from '../ps-row.ts';
import { renderRows, type Row } from '../rows.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

const flags = {
  all: { type: 'switch', short: 'a', help: 'Show those that do not run, too' },
  quiet: { type: 'switch', short: 'q', help: 'Print ids only' },
  filter: {
    type: 'list',
    short: 'f',
    value: 'KEY=VALUE',
    offers: psFilterOffers,
    help: 'Only those with this id, name, status, label, ancestor, exited (code), health, restart-policy, network, volume or pod, made before, since or until',
  },
  format: {
    type: 'text',
    value: 'json|table ...|TEMPLATE',
    help: 'Print fields: ID, Image, Command, CreatedAt, RunningFor, Status, State, Size, Names, Labels, Mounts, Networks, Pid, Pod, PodName; json: one list',
  },
  'no-trunc': { type: 'switch', help: 'Print ids and commands in full' },
  last: { type: 'integer', short: 'n', help: 'The N newest, running or not' },
  latest: { type: 'switch', short: 'l', help: 'The newest, running or not' },
  size: { type: 'switch', short: 's', help: 'Show how much each has written' },
  external: { type: 'switch', help: 'Also containers of the image store that other engines made (podman, buildah)' },
  pod: { type: 'switch', short: 'p', help: 'Show the pod each is in' },
  ns: { type: 'switch', alias: 'namespace', help: 'Show the namespaces of the first process' },
  noheading: { type: 'switch', help: 'No line of headings' },
  sort: {
    type: 'text',
    choices: ['command', 'created', 'id', 'image', 'names', 'runningfor', 'size', 'status'],
    standard: 'created',
    help: 'Order; created is newest first',
  },
} as const satisfies FlagTable;

/** `tare ps`: running containers; all with -a. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags,
  args: { min: 0, max: 0 },
  examples: [
    ['ps -a', 'All containers'],
    ["ps --filter label=app=web --format '{{.Names}} {{.Status}}'", 'Names and states of those with a label'],
    ["ps -a --format 'table {{.Names}}\\t{{.State}}' --sort names", 'Columns of your own, with headings'],
  ],
  async run(context, values) {
    // What a plain `ps` does not need is loaded when it is asked for.
    const filter =
      values.filter.length === 0
        ? undefined
        : await (await import('../ps-filter.ts')).compilePsFilter(context, values.filter);
    const format =
      values.format === undefined || values.format === 'table'
        ? undefined
        : (await import('../format.ts')).compileFormat(values.format);
    if (values.size === true && values.quiet === true)
      throw new UsageError('Cannot use --size and --quiet together: ids have no column for it');
    if (values.external === true && (filter !== undefined || values.last !== undefined || values.latest === true))
      throw new UsageError(
        'Cannot use --external with --filter, --last or --latest: little is known of those containers',
      );
    const last = values.latest === true ? 1 : values.last;
    const all = values.all === true || last !== undefined || filter?.wantsAll === true;
    let containers = (await collectedContainers(context.engine, all ? {} : { only: 'live' })).filter(
      (container) => (all || isLive(container)) && filter?.passes(container) !== false,
    );
    if (last !== undefined) containers = containers.slice(0, last);
    context.print(await render(context, containers, values, format));
    return 0;
  },
});

async function render(
  context: Context,
  found: readonly ContainerSummary[],
  values: FlagValues<typeof flags>,
  format: Format | undefined,
): Promise<string> {
  const now = context.now();
  const full = values['no-trunc'] === true;
  const wants = (field: string): boolean => format?.fields.has(field) === true;
  const wantsSize = values.size === true || values.sort === 'size' || wants('Size');
  const wantsNamespaces = values.ns === true || (format !== undefined && namespaceNames.some(wants));
  const more =
    wantsSize || wantsNamespaces || wants('Mounts') || values.sort !== undefined || values.external === true
      ? await import('../ps-more.ts')
      : undefined;
  const sizes = wantsSize ? await more?.psSizes(context, found) : undefined;
  const containers =
    more === undefined ? found : more.sortContainers(found, values.sort ?? 'created', sizes ?? new Map());
  const external = values.external === true ? await more?.externalRows(context, full) : [];
  if (values.quiet === true) {
    const ids = containers.map(({ id }) => (full ? id : id.slice(0, 12)));
    return [...ids, ...(external ?? []).map(({ ID }) => String(ID))].map((id) => `${id}\n`).join('');
  }
  if (format?.json === true) {
    const list = containers.map((container) => ({
      ...psJson(container, now),
      ...(values.size === true ? { Size: sizes?.get(container.id) } : {}),
    }));
    const others = values.external === true ? await more?.externalJson(context) : [];
    return `${JSON.stringify([...list, ...(others ?? [])], undefined, 4)}\n`;
  }
  const rows = containers.map((container): Row => ({
    ...psRow(container, now, full),
    Size: more?.sizeText(sizes?.get(container.id)) ?? '',
    ...(wantsNamespaces ? more?.namespaceFields(container) : {}),
    ...(wants('Mounts') ? { Mounts: more?.mountsText(context, container) } : {}),
  }));
  const columns = [
    ...(values.ns === true ? (more?.nsColumns ?? []) : values.size === true ? [...psColumns, 'Size'] : psColumns),
    ...(values.pod === true ? ['Pod', 'PodName'] : []),
  ];
  return renderRows([...rows, ...(external ?? [])], format, columns, psHeadings, values.noheading === true);
}

const namespaceNames: readonly string[] = ['CGROUPNS', 'IPC', 'MNT', 'NET', 'PIDNS', 'USERNS', 'UTS'];
