import { hasLabel } from '../../engine/has-label.ts';
import type { ListedCni } from '../../engine/cni/list-cni.ts';
import { listCniNetworks, listNetworks } from '../../engine/networks.ts';
import type { Network } from '../../network/network.ts';
import { compileFormat, parseFilters } from '../format.ts';
import { labelOf, labelsShown } from '../labels.ts';
import { renderRows, type Row } from '../rows.ts';
import { defineVerb } from '../verb.ts';

type Listed = Network | ListedCni;

const filterKeys = ['name', 'id', 'driver', 'label'] as const;

/** `tare network ls`. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    quiet: { type: 'switch', short: 'q', help: 'Print names only' },
    filter: {
      type: 'list',
      short: 'f',
      value: 'KEY=VALUE',
      offers: filterKeys.map((key) => `${key}=`),
      help: 'Only those with this in their name, id, driver or label',
    },
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: ID, Name, Driver, Scope, Internal, IPv6, Subnets, Labels, CreatedAt; json: one list',
    },
    'no-trunc': { type: 'switch', help: 'Print ids in full' },
    noheading: { type: 'switch', short: 'n', help: 'No line of headings' },
  },
  args: { min: 0, max: 0 },
  examples: [["network ls --format '{{.Name}} {{.Subnets}}'", 'Names and addresses']],
  async run(context, values) {
    const filters = parseFilters(values.filter, filterKeys);
    const isWanted = (network: Listed): boolean =>
      [...filters].every(([key, wanted]) => wanted.some((value) => matches(network, key, value)));
    const all: Listed[] = [...listNetworks(context.engine), ...(await listCniNetworks(context.engine))];
    const networks = all.filter(isWanted);
    if (values.quiet === true) {
      context.print(networks.map(({ name }) => `${name}\n`).join(''));
      return 0;
    }
    if (values.format === 'json') {
      context.print(`${JSON.stringify(networks.map(jsonOf), undefined, 4)}\n`);
      return 0;
    }
    const format = values.format === undefined || values.format === 'table' ? undefined : compileFormat(values.format);
    const rows = networks.map((network) => rowOf(network, values['no-trunc'] === true));
    const columns = ['ID', 'Name', 'Driver', 'Subnets'];
    context.print(renderRows(rows, format, columns, { ID: 'NETWORK ID' }, values.noheading === true));
    return 0;
  },
});

function matches(network: Listed, key: string, value: string): boolean {
  if (key === 'label') return hasLabel(network.labels, value);
  return key === 'driver'
    ? network.driver === value
    : key === 'id'
      ? network.id.startsWith(value)
      : network.name.includes(value);
}

const subnetsOf = ({ subnets }: Listed): string[] => subnets.map(({ subnet }) => subnet);

function rowOf(network: Listed, full: boolean): Row {
  return {
    ID: full ? network.id : network.id.slice(0, 12),
    Name: network.name,
    Driver: network.driver,
    Scope: 'local',
    Internal: String(network.internal),
    IPv6: String(subnetsOf(network).some((subnet) => subnet.includes(':'))),
    Subnets: subnetsOf(network).join(', '),
    Labels: labelsShown(network.labels),
    Label: (key: unknown) => labelOf(network.labels, key),
    CreatedAt: network.createdAt,
  };
}

function jsonOf(network: Listed): object {
  return {
    name: network.name,
    id: network.id,
    driver: network.driver,
    network_interface: 'bridge' in network ? network.bridge : '',
    created: network.createdAt,
    subnets: network.subnets.map(({ subnet, gateway }) => ({ subnet, gateway })),
    ipv6_enabled: subnetsOf(network).some((subnet) => subnet.includes(':')),
    internal: network.internal,
    labels: network.labels,
    options: network.options,
  };
}
