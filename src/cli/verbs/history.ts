import { imageHistory, type HistoryLine } from '../../engine/history.ts';
import { compileFormat } from '../format.ts';
import { ago, humanSize } from '../human.ts';
import { renderRows, type Row } from '../rows.ts';
import { ellipsis, printable } from '../table.ts';
import { Shown } from '../template/shown.ts';
import { defineVerb } from '../verb.ts';

const columns = ['ID', 'Created', 'CreatedBy', 'Size', 'Comment'] as const;
const headings = { CreatedSince: 'CREATED' };
const COMMAND_CHARACTERS = 45;

/** `tare history`: newest step first. */
export const verb = defineVerb({
  usage: '[OPTIONS] IMAGE',
  flags: {
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: ID, Created, CreatedAt, CreatedSince, CreatedBy, Size, Comment, Tags; json: one list',
    },
    human: {
      type: 'switch',
      short: 'H',
      standard: 'true',
      help: 'Sizes and times for people; =false: bytes and RFC 3339',
    },
    'no-trunc': { type: 'switch', help: 'Print ids and commands in full' },
    quiet: { type: 'switch', short: 'q', help: 'Print ids only' },
  },
  args: { min: 1, max: 1 },
  examples: [['history --no-trunc busybox', 'With whole commands']],
  async run(context, values, [image = '']) {
    const { format: asked } = values;
    const format = asked === undefined || asked === 'table' || asked === 'json' ? undefined : compileFormat(asked);
    const lines = await imageHistory(context.engine, image);
    const full = values['no-trunc'] === true;
    if (values.quiet === true) context.print(lines.map((line) => `${idOf(line, full)}\n`).join(''));
    else if (asked === 'json') context.print(`${JSON.stringify(lines.map(jsonOf))}\n`);
    else {
      const now = context.now();
      const rows = lines.map((line) => rowOf(line, now, full, values.human !== false));
      context.print(renderRows(rows, format, columns, headings));
    }
    return 0;
  },
});

function rowOf(line: HistoryLine, now: number, full: boolean, human: boolean): Row {
  const since = ago(line.created, now);
  const command = printable(line.createdBy);
  return {
    ID: idOf(line, full),
    Created: human ? since : (line.created ?? ''),
    CreatedAt: line.created ?? '',
    CreatedSince: since,
    CreatedBy: full ? command : ellipsis(command, COMMAND_CHARACTERS),
    Size: human ? humanSize(line.sizeBytes) : String(line.sizeBytes),
    Comment: printable(line.comment),
    Tags: new Shown(line.tags.join(','), line.tags),
  };
}

/** Steps of other images are not here. */
function idOf({ id }: HistoryLine, full: boolean): string {
  return id === undefined ? '<missing>' : full ? id : id.slice(0, 12);
}

/** podman's names of fields. */
function jsonOf(line: HistoryLine): object {
  return {
    id: line.id ?? '<missing>',
    ...(line.created === undefined ? {} : { created: line.created }),
    CreatedBy: line.createdBy,
    ...(line.tags.length > 0 && { tags: line.tags }),
    size: line.sizeBytes,
    ...(line.comment !== '' && { comment: line.comment }),
    ...(line.isEmptyLayer && { emptyLayer: true }),
  };
}
