import { containerProcesses } from '../../engine/top.ts';
import { printable, renderTable } from '../table.ts';
import { defineVerb } from '../verb.ts';

/** `tare top`: the processes of a container. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER [DESCRIPTOR...|PS-OPTIONS]',
  flags: { format: { type: 'text', choices: ['json'], help: 'Print a JSON list: an object for each process' } },
  args: { min: 1 },
  commandFollows: true,
  examples: [
    ['top web', 'The processes of a container, with the numbers they have in it'],
    ['top web pid hpid user capeff args', 'Chosen columns: pid, hpid, user, huser, pcpu, etime, seccomp and so on'],
    ['top web -eo pid,comm', 'The same with the words of ps; aux and -ef are known, too'],
  ],
  async run(context, values, [name = '', ...words]) {
    const { columns, headings, rows } = await containerProcesses(context.engine, name, words);
    if (values.format === 'json') {
      const items = rows.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index]])));
      context.print(`${JSON.stringify(items, undefined, 4)}\n`);
    } else context.print(renderTable([headings, ...rows.map((row) => row.map(printable))]));
    return 0;
  },
});
