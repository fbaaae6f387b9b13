import { hasLabel } from '../../engine/has-label.ts';
import { pruneNetworks } from '../../engine/networks.ts';
import { confirm } from '../confirm.ts';
import { parseFilters } from '../filters.ts';
import { UsageError } from '../usage-error.ts';
import { parseTime } from '../values.ts';
import { defineVerb } from '../verb.ts';

const filterKeys = ['until', 'label', 'label!'] as const;

/** `tare network prune`: prints the names of what was removed. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    force: { type: 'switch', short: 'f', help: 'Do not ask' },
    filter: {
      type: 'list',
      value: 'KEY=VALUE',
      offers: filterKeys.map((key) => `${key}=`),
      help: 'Only those created before a time (until=24h), or with a label (label=, label!=)',
    },
  },
  args: { min: 0, max: 0 },
  examples: [['network prune -f', 'Remove all networks that no container has']],
  async run(context, values) {
    const filters = parseFilters(values.filter, filterKeys);
    const [until, ...more] = filters.get('until') ?? [];
    if (more.length > 0) throw new UsageError('Cannot use --filter until= more than once');
    const before = until === undefined ? undefined : Date.parse(parseTime('--filter until=', until, context.now()));
    const warning = 'WARNING! This will remove all networks that no container has.\n';
    if (!(await confirm(context, values.force === true, warning))) return 0;
    const removed = await pruneNetworks(
      context.engine,
      ({ createdAt, labels }) =>
        (before === undefined || Date.parse(createdAt) < before) &&
        (filters.get('label') ?? []).every((label) => hasLabel(labels, label)) &&
        !(filters.get('label!') ?? []).some((label) => hasLabel(labels, label)),
    );
    context.print(removed.map((name) => `${name}\n`).join(''));
    return 0;
  },
});
