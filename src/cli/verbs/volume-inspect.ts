import { listVolumes, volumeSummary, volumeView } from '../../engine/volumes/list-volumes.ts';
import { errorText } from '../failure.ts';
import { compileFormat } from '../format.ts';
import { renderRows, type Row } from '../rows.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare volume inspect`: a JSON list, or a line for each with a template. */
export const verb = defineVerb({
  usage: '[OPTIONS] VOLUME [VOLUME...]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'All volumes' },
    format: {
      type: 'text',
      short: 'f',
      value: 'json|TEMPLATE',
      help: 'Print fields of the JSON, like {{.Mountpoint}}; json: one list on one line',
    },
  },
  args: { min: 0 },
  examples: [["volume inspect --format '{{.Mountpoint}}' data", 'Where the files are']],
  run(context, values, names) {
    const all = values.all === true;
    if (all && names.length > 0) throw new UsageError('Cannot use --all and a name together');
    if (!all && names.length === 0)
      throw new UsageError(
        'Cannot run tare volume inspect: it takes at least 1 argument, not 0 (see tare volume inspect --help)',
      );
    const format = values.format === undefined ? undefined : compileFormat(values.format);
    const found: object[] = all ? listVolumes(context.engine).map(volumeView) : [];
    let errors = '';
    for (const name of names) {
      try {
        found.push(volumeView(volumeSummary(context.engine, name)));
      } catch (error) {
        errors += errorText(error, context.debug);
      }
    }
    try {
      if (format === undefined) context.print(`${JSON.stringify(found, undefined, 4)}\n`);
      else context.print(format.json ? `${JSON.stringify(found)}\n` : renderRows(found as Row[], format, [], {}));
    } finally {
      context.complain(errors);
    }
    return errors === '' ? 0 : 1;
  },
});
