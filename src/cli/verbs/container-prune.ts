import { pruneContainers } from '../../engine/prune-containers.ts';
import { confirm } from '../confirm.ts';
import { parseFilters } from '../filters.ts';
import { UsageError } from '../usage-error.ts';
import { parseTime } from '../values.ts';
import { defineVerb } from '../verb.ts';

const filterKeys = ['until', 'label', 'label!'] as const;

/** `tare container prune`: prints the ids of what was removed. */
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
  examples: [
    ['container prune', 'Remove all containers that do not run, after a question'],
    ['container prune -f --filter until=24h --filter label!=keep', 'Only old ones that nobody wants to keep'],
  ],
  async run(context, values) {
    const filters = parseFilters(values.filter, filterKeys);
    const [until, ...more] = filters.get('until') ?? [];
    if (more.length > 0) throw new UsageError('Cannot use --filter until= more than once');
    const options = {
      labels: filters.get('label') ?? [],
      withoutLabels: filters.get('label!') ?? [],
      ...(until === undefined ? {} : { createdBefore: parseTime('--filter until=', until, context.now()) }),
    };
    const warning = 'WARNING! This will remove all non running containers.\n';
    if (!(await confirm(context, values.force === true, warning))) return 0;
    const { removed } = await pruneContainers(context.engine, options);
    context.print(removed.map((id) => `${id}\n`).join(''));
    return 0;
  },
});
