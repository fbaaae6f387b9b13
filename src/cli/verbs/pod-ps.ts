import { listPods, type PodSummary } from '../../engine/pods/list-pods.ts';
import { compileFormat } from '../format.ts';
import { compilePodFilter, podFilterOffers } from '../pod-filter.ts';
import { podColumns, podHeadings, podJson, podRow, sortPods } from '../pod-row.ts';
import { renderRows } from '../rows.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod ps`: all pods. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    quiet: { type: 'switch', short: 'q', help: 'Print ids only' },
    filter: {
      type: 'list',
      short: 'f',
      value: 'KEY=VALUE',
      offers: podFilterOffers,
      help: 'Only those with this id, name, status, label, network, container (ctr-ids, ctr-names, ctr-number, ctr-status), or made before until',
    },
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: Id, Name, Status, Created, InfraID, NumberOfContainers, ContainerIds, ContainerNames, ContainerStatuses, Labels, Networks, Cgroup; json: one list',
    },
    'ctr-ids': { type: 'switch', help: 'Show the ids of the containers' },
    'ctr-names': { type: 'switch', help: 'Show the names of the containers' },
    'ctr-status': { type: 'switch', help: 'Show the states of the containers' },
    'no-trunc': { type: 'switch', help: 'Print ids in full' },
    latest: { type: 'switch', short: 'l', help: 'The newest' },
    noheading: { type: 'switch', short: 'n', help: 'No line of headings' },
    sort: {
      type: 'text',
      choices: ['created', 'id', 'name', 'number', 'status'],
      standard: 'created',
      help: 'Order; created is newest first',
    },
  },
  args: { min: 0, max: 0 },
  errorCode: 125,
  examples: [
    ['pod ps --ctr-names', 'All pods, and which containers are in them'],
    ["pod ps --filter status=running --format '{{.Name}}'", 'Names of those that run'],
  ],
  async run(context, values) {
    const now = context.now();
    const filter = compilePodFilter(values.filter, now);
    const found = (await listPods(context.engine)).filter(filter);
    const pods: readonly PodSummary[] = sortPods(values.latest === true ? found.slice(0, 1) : found, values.sort);
    const full = values['no-trunc'] === true;
    if (values.quiet === true) {
      context.print(pods.map(({ id }) => `${full ? id : id.slice(0, 12)}\n`).join(''));
      return 0;
    }
    const format = values.format === undefined || values.format === 'table' ? undefined : compileFormat(values.format);
    if (format?.json === true) {
      context.print(`${JSON.stringify(pods.map(podJson), undefined, 4)}\n`);
      return 0;
    }
    const columns = [
      ...podColumns,
      ...(values['ctr-ids'] === true ? ['ContainerIds'] : []),
      ...(values['ctr-names'] === true ? ['ContainerNames'] : []),
      ...(values['ctr-status'] === true ? ['ContainerStatuses'] : []),
    ];
    const shown = values['ctr-ids'] === true || values['ctr-names'] === true || values['ctr-status'] === true;
    const rows = pods.map((pod) => podRow(pod, now, full));
    context.print(
      renderRows(
        rows,
        format,
        shown ? columns.filter((column) => column !== 'NumberOfContainers') : columns,
        podHeadings,
        values.noheading === true,
      ),
    );
    return 0;
  },
});
