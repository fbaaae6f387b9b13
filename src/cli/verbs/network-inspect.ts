import { inspectNetwork } from '../../engine/networks.ts';
import { errorText } from '../failure.ts';
import { compileFormat } from '../format.ts';
import { renderRows, type Row } from '../rows.ts';
import { defineVerb } from '../verb.ts';

/** `tare network inspect`: a JSON list, or a line for each with a template. */
export const verb = defineVerb({
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  flags: {
    format: {
      type: 'text',
      short: 'f',
      value: 'json|TEMPLATE',
      help: 'Print fields of the JSON, like {{.Name}}; json: one list on one line',
    },
  },
  args: { min: 1 },
  examples: [["network inspect --format '{{(index .IPAM.Config 0).Subnet}}' web", 'Its addresses']],
  async run(context, values, names) {
    const format = values.format === undefined ? undefined : compileFormat(values.format);
    const found: object[] = [];
    let errors = '';
    for (const name of names) {
      try {
        found.push(await inspectNetwork(context.engine, name));
      } catch (error) {
        errors += errorText(error, context.debug);
      }
    }
    context.print(
      format === undefined
        ? `${JSON.stringify(found, undefined, 4)}\n`
        : format.json
          ? `${JSON.stringify(found)}\n`
          : renderRows(found as Row[], format, [], {}),
    );
    context.complain(errors);
    return errors === '' ? 0 : 1;
  },
});
