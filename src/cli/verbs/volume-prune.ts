import { pruneVolumes } from '../../engine/volumes/prune-volumes.ts';
import { confirm } from '../confirm.ts';
import { filterSwitch, parseFilters } from '../filters.ts';
import { humanSize } from '../human.ts';
import { defineVerb } from '../verb.ts';
import { volumeFilterKeys, volumeFilterOffers, volumeTest } from '../volume-filter.ts';

/** `tare volume prune`: prints the names of what was removed. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'Named ones too, not only those that were made for a container' },
    force: { type: 'switch', short: 'f', help: 'Do not ask' },
    filter: {
      type: 'list',
      value: 'KEY=VALUE',
      offers: volumeFilterOffers,
      help: 'Only those with this name, label (label=, label!=), driver or option, or made until or since; all=true: as --all',
    },
  },
  args: { min: 0, max: 0 },
  examples: [
    ['volume prune -f', 'Remove anonymous volumes that no container uses'],
    ['volume prune -a --filter label=ci', 'All of a kind that no container uses, after a question'],
  ],
  async run(context, values) {
    const filters = parseFilters(values.filter, volumeFilterKeys);
    const select = volumeTest(filters, context.now());
    const all = values.all === true || (filters.get('all') ?? []).some((value) => filterSwitch('all', value));
    const warning = `WARNING! This will remove all ${all ? '' : 'anonymous '}volumes that no container uses, with all that is in them.\n`;
    if (!(await confirm(context, values.force === true, warning))) return 0;
    const { removed, freedBytes } = await pruneVolumes(context.engine, { all, select });
    context.print(removed.map((name) => `${name}\n`).join(''));
    if (removed.length > 0) context.inform(`Total reclaimed space: ${humanSize(freedBytes)}`);
    return 0;
  },
});
