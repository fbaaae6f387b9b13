import { reconcileAll } from '../../engine/reconcile.ts';
import { listVolumes } from '../../engine/volumes/list-volumes.ts';
import { compileFormat } from '../format.ts';
import { parseFilters } from '../filters.ts';
import { renderRows } from '../rows.ts';
import { defineVerb } from '../verb.ts';
import { volumeFilterKeys, volumeFilterOffers, volumeTest } from '../volume-filter.ts';
import { volumeColumns, volumeHeadings, volumeRow } from '../volume-row.ts';

/** `tare volume ls`. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    quiet: { type: 'switch', short: 'q', help: 'Print names only' },
    filter: {
      type: 'list',
      short: 'f',
      value: 'KEY=VALUE',
      offers: volumeFilterOffers,
      help: 'Only those with this name, driver, label, option (opt), anonymous or dangling (true or false), or made until or since',
    },
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: Name, Driver, Mountpoint, Scope, CreatedAt, Labels, Options, Anonymous, MountCount, UsedBy; json: one object a line',
    },
    noheading: { type: 'switch', short: 'n', help: 'No line of headings' },
  },
  args: { min: 0, max: 0 },
  examples: [
    ['volume ls', 'All volumes'],
    ['volume ls -q --filter dangling=true', 'Names of those that no container uses'],
  ],
  async run(context, values) {
    const format = values.format === undefined || values.format === 'table' ? undefined : compileFormat(values.format);
    const test = volumeTest(parseFilters(values.filter, volumeFilterKeys), context.now());
    await reconcileAll(context.engine);
    const volumes = listVolumes(context.engine).filter(test);
    if (values.quiet === true) {
      context.print(volumes.map(({ name }) => `${name}\n`).join(''));
      return 0;
    }
    const rows = volumes.map(volumeRow);
    context.print(renderRows(rows, format, volumeColumns, volumeHeadings, values.noheading === true));
    return 0;
  },
});
