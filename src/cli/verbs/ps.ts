import { collectedContainers } from '../../engine/list.ts';
import { compileFormat, parseFilters } from '../format.ts';
import { passes, psColumns, psFilterKeys, psHeadings, psRow, psStates } from '../ps-row.ts';
import { renderRows } from '../rows.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare ps`: running containers; all with -a. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'Show those that do not run, too' },
    quiet: { type: 'switch', short: 'q', help: 'Print ids only' },
    filter: {
      type: 'list',
      short: 'f',
      value: 'KEY=VALUE',
      help: 'Only those with this id, name, status, label, ancestor or exited (code)',
    },
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: ID, Image, Command, CreatedAt, RunningFor, Status, State, Names, Labels, Networks, Pid',
    },
    'no-trunc': { type: 'switch', help: 'Print ids and commands in full' },
    last: { type: 'integer', short: 'n', help: 'The N newest, running or not' },
    latest: { type: 'switch', short: 'l', help: 'The newest, running or not' },
  },
  args: { min: 0, max: 0 },
  examples: [
    ['ps -a', 'All containers'],
    ["ps --filter label=app=web --format '{{.Names}} {{.Status}}'", 'Names and states of those with a label'],
  ],
  async run(context, values) {
    const filters = parseFilters(values.filter, psFilterKeys);
    for (const state of filters.get('status') ?? []) {
      if (!psStates.some((known) => known === state))
        throw new UsageError(`Cannot use --filter status=${state}: expected ${psStates.join(', ')}`);
    }
    const format = values.format === undefined || values.format === 'table' ? undefined : compileFormat(values.format);
    const last = values.latest === true ? 1 : values.last;
    const all = values.all === true || last !== undefined || filters.has('status') || filters.has('exited');
    let containers = (await collectedContainers(context.engine)).filter(
      (container) => (all || container.state === 'running') && passes(container, filters),
    );
    if (last !== undefined) containers = containers.slice(0, last);
    const full = values['no-trunc'] === true;
    if (values.quiet === true) {
      context.print(containers.map(({ id }) => `${full ? id : id.slice(0, 12)}\n`).join(''));
      return 0;
    }
    const now = context.now();
    context.print(
      renderRows(
        containers.map((container) => psRow(container, now, full)),
        format,
        psColumns,
        psHeadings,
      ),
    );
    return 0;
  },
});
