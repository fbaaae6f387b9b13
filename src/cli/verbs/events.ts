import { eventFilterKeys } from '../../engine/event-filter.ts';
import { readEvents } from '../../engine/read-events.ts';
import { eventLine, eventRow } from '../event-row.ts';
import { compileFormat, parseFilters } from '../format.ts';
import { writeAll } from '../output.ts';
import { UsageError } from '../usage-error.ts';
import { parseTime } from '../values.ts';
import { defineVerb } from '../verb.ts';

/** `tare events`: what happens, a line each, until the reader has enough. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    since: {
      type: 'text',
      value: 'TIME',
      help: 'Also what happened since then: RFC 3339, Unix seconds, or 10m for ten minutes ago',
    },
    until: { type: 'text', value: 'TIME', help: 'End there' },
    filter: {
      type: 'list',
      short: 'f',
      value: 'KEY=VALUE',
      help: 'Only those with this container, event, image, label, type, volume, network or pod',
    },
    format: {
      type: 'text',
      value: 'json|TEMPLATE',
      help: 'Print fields: Type, Action, ID, Name, Image, Time, TimeNano, Actor, Attributes, ContainerExitCode, HealthStatus',
    },
    stream: {
      type: 'switch',
      standard: 'true',
      help: 'Go on with what happens; =false: print what is known and leave',
    },
    'no-trunc': { type: 'switch', standard: 'true', help: 'Print ids in full' },
  },
  args: { min: 0, max: 0 },
  examples: [
    ['events --filter event=die', 'The ends of containers, as they come'],
    ["events --since 10m --stream=false --format '{{.Name}} {{.Action}}'", 'What happened in the last ten minutes'],
  ],
  async run(context, values) {
    const filters = parseFilters(values.filter, eventFilterKeys);
    const format = values.format === undefined ? undefined : compileFormat(values.format);
    if (format?.table === true)
      throw new UsageError('Cannot use --format table: events come one by one, not as a table');
    const now = context.now();
    const since = values.since === undefined ? undefined : parseTime('--since', values.since, now);
    const until = values.until === undefined ? undefined : untilOf(values.until, now);
    if (since !== undefined && until !== undefined && since > until)
      throw new UsageError('Cannot use --since and --until: the end is before the beginning');
    const full = values['no-trunc'] !== false;
    const events = readEvents(context.engine, {
      filters,
      follow: values.stream !== false,
      ...(since === undefined ? {} : { since }),
      ...(until === undefined ? {} : { until }),
    });
    for await (const event of events) {
      const line = format === undefined ? eventLine(event, full) : format.render(eventRow(event, full));
      await writeAll(1, Buffer.from(`${line}\n`));
    }
    return 0;
  },
});

/** As a time; a duration is one to come (as podman has it) only with a plus sign: `+10s`. */
function untilOf(text: string, now: number): string {
  return text.startsWith('+')
    ? new Date(2 * now - Date.parse(parseTime('--until', text.slice(1), now))).toISOString()
    : parseTime('--until', text, now);
}
