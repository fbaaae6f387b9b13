import { containerStats } from '../../engine/stats.ts';
import { renderRows } from '../rows.ts';
import { printSamples, samplingFlags, samplingOf } from '../stats-flags.ts';
import { statsColumns, statsHeadings, statsRow } from '../stats-row.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare stats`: one process samples all; on a terminal the table is drawn in place. */
export const verb = defineVerb({
  usage: '[OPTIONS] [CONTAINER...]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'Also containers that do not run' },
    ...samplingFlags,
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: ID, Name, CPUPerc, MemUsage, MemPerc, NetIO, BlockIO, PIDs, Container, UpSince; json: one object a line',
    },
  },
  args: { min: 0 },
  examples: [
    ['stats', 'What runs, every second'],
    ["stats --no-stream --format '{{.Name}} {{.CPUPerc}} {{.MemUsage}}'", 'One line for each container'],
  ],
  async run(context, values, names) {
    if (values.all === true && names.length > 0) throw new UsageError('Cannot use --all together with names');
    const { intervalMs, format, full, ...how } = samplingOf(values);
    const samples = containerStats(context.engine, names, { all: values.all === true, intervalMs });
    await printSamples(context.print, samples, how, (rows) =>
      renderRows(
        rows.map((row) => statsRow(row, full)),
        format,
        statsColumns,
        statsHeadings,
      ),
    );
    return 0;
  },
});
