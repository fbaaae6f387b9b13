import { TareError } from '../../base/errors.ts';
import { podMembers } from '../../engine/pods/act-on-pod.ts';
import { isUp } from '../../engine/list.ts';
import { containerProcesses } from '../../engine/top.ts';
import { printable, renderTable } from '../table.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod top`: the processes of all its containers. */
export const verb = defineVerb({
  usage: '[OPTIONS] POD [DESCRIPTOR...|PS-OPTIONS]',
  flags: {},
  args: { min: 1 },
  commandFollows: true,
  errorCode: 125,
  examples: [['pod top web pid user args', 'Chosen columns of the processes of a pod']],
  async run(context, _, [name = '', ...words]) {
    const { members } = await podMembers(context.engine, name);
    const running = members.filter(isUp);
    if (running.length === 0)
      throw new TareError(
        'failed-precondition',
        `Cannot list the processes of pod ${name}: none of its containers is running`,
      );
    const tables = await Promise.all(running.map(({ id }) => containerProcesses(context.engine, id, words)));
    const rows = tables.flatMap((table) => table.rows.map((row) => row.map(printable)));
    context.print(renderTable([tables[0]?.headings ?? [], ...rows]));
    return 0;
  },
});
