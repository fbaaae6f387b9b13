import { findSecret, readSecret, type SecretRecord } from '../../engine/secrets/store.ts';
import type { Context } from '../context.ts';
import { errorText } from '../failure.ts';
import { compileFormat } from '../format.ts';
import { renderRows, type Row } from '../rows.ts';
import { defineVerb } from '../verb.ts';

/** `tare secret inspect`: a JSON list, or a line for each with a template. */
export const verb = defineVerb({
  usage: '[OPTIONS] SECRET [SECRET...]',
  flags: {
    format: {
      type: 'text',
      short: 'f',
      value: 'json|TEMPLATE',
      help: 'Print fields of the JSON, like {{.Spec.Name}}; json: one list on one line',
    },
    showsecret: { type: 'switch', help: 'Print the value, too, as SecretData' },
  },
  args: { min: 1 },
  errorCode: 125,
  examples: [
    ["secret inspect --format '{{.Spec.Driver.Name}}' db-password", 'One field'],
    ["secret inspect --showsecret --format '{{.SecretData}}' db-password", 'Its value'],
  ],
  async run(context, values, names) {
    const format = values.format === undefined ? undefined : compileFormat(values.format);
    const found: Row[] = [];
    let errors = '';
    for (const name of names) {
      try {
        found.push(await view(context, findSecret(context.engine, name, 'inspect'), values.showsecret === true));
      } catch (error) {
        errors += errorText(error, context.debug);
      }
    }
    if (format === undefined) context.print(`${JSON.stringify(found, undefined, 4)}\n`);
    else context.print(format.json ? `${JSON.stringify(found)}\n` : renderRows(found, format, [], {}));
    context.complain(errors);
    return errors === '' ? 0 : 125;
  },
});

/** As podman prints it. */
async function view(context: Context, secret: SecretRecord, showsValue: boolean): Promise<Row> {
  const { id, name, driver, driverOptions, labels, createdAt, updatedAt } = secret;
  return {
    ID: id,
    CreatedAt: createdAt,
    UpdatedAt: updatedAt,
    Spec: { Name: name, Driver: { Name: driver, Options: driverOptions }, Labels: labels },
    ...(showsValue ? { SecretData: Buffer.from(await readSecret(context.engine, id)).toString() } : {}),
  };
}
