import { findSecret, readSecret, type SecretRecord } from '../../engine/secrets/store.ts';
import type { Context } from '../context.ts';
import { inspectEach, inspectFormat } from '../inspect-each.ts';
import { defineVerb } from '../verb.ts';

const FAILED = 125;

/** `tare secret inspect`: a JSON list, or a line for each with a template. */
export const verb = defineVerb({
  usage: '[OPTIONS] SECRET [SECRET...]',
  flags: {
    format: inspectFormat('Spec.Name'),
    showsecret: { type: 'switch', help: 'Print the value, too, as SecretData' },
  },
  args: { min: 1 },
  errorCode: FAILED,
  examples: [
    ["secret inspect --format '{{.Spec.Driver.Name}}' db-password", 'One field'],
    ["secret inspect --showsecret --format '{{.SecretData}}' db-password", 'Its value'],
  ],
  run: (context, values, names) =>
    inspectEach(
      context,
      values.format,
      names,
      (name) => view(context, findSecret(context.engine, name, 'inspect'), values.showsecret === true),
      FAILED,
    ),
});

/** As podman prints it. */
async function view(context: Context, secret: SecretRecord, showsValue: boolean): Promise<object> {
  const { id, name, driver, driverOptions, labels, createdAt, updatedAt } = secret;
  return {
    ID: id,
    CreatedAt: createdAt,
    UpdatedAt: updatedAt,
    Spec: { Name: name, Driver: { Name: driver, Options: driverOptions }, Labels: labels },
    ...(showsValue ? { SecretData: Buffer.from(await readSecret(context.engine, id)).toString() } : {}),
  };
}
