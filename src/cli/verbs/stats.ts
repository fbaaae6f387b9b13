import { containerStats } from '../../engine/stats.ts';
import { renderRows } from '../rows.ts';
import { samplingFlags, samplingOf } from '../stats-flags.ts';
import { statsColumns, statsHeadings, statsRow } from '../stats-row.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare stats`: one process samples all; on a terminal the table is drawn in place. */
export const verb = defineVerb({
  usage: '[OPTIONS] [CONTAINER...]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'Also containers that do not run' },
    ...samplingFlags,
    'no-reset': { type: 'switch', help: 'On a terminal, too, print one table after the other' },
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
    const { intervalMs, format, once, full } = samplingOf(values);
    const { isTerminal } = await import('../../sys/tty.ts');
    const inPlace = !once && values['no-reset'] !== true && isTerminal(1) && (format === undefined || format.table);
    if (inPlace) context.print('\x1b[2J');
    const options = { all: values.all === true, intervalMs };
    for await (const samples of containerStats(context.engine, names, options)) {
      const text = renderRows(
        samples.map((sample) => statsRow(sample, full)),
        format,
        statsColumns,
        statsHeadings,
      );
      context.print(inPlace ? `\x1b[H${text.replaceAll('\n', '\x1b[K\n')}\x1b[J` : text);
      if (once) break;
    }
    return 0;
  },
});
