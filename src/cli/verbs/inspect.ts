import { isKind, TareError } from '../../base/errors.ts';
import { inspectContainer } from '../../engine/inspect.ts';
import type { Context } from '../context.ts';
import { errorText } from '../failure.ts';
import { compileFormat } from '../format.ts';
import { defineVerb } from '../verb.ts';

/** `tare inspect`: a JSON list, or a line for each with a template. */
export const verb = defineVerb({
  usage: '[OPTIONS] NAME|ID [NAME|ID...]',
  flags: {
    format: {
      type: 'text',
      short: 'f',
      value: 'json|TEMPLATE',
      help: 'Print {{.Field.Path}}, {{json .}} or {{json .Field}}',
    },
    type: {
      type: 'text',
      choices: ['container', 'image'],
      help: 'Look only among these (default: containers, then images)',
    },
  },
  args: { min: 1 },
  examples: [
    ["inspect --format '{{.State.Status}} {{.State.ExitCode}}' web", 'Two fields'],
    ['inspect --type image busybox', 'An image'],
  ],
  async run(context, values, names) {
    const format = values.format === undefined ? undefined : compileFormat(values.format);
    const found: object[] = [];
    let errors = '';
    for (const name of names) {
      try {
        found.push(await inspectAny(context, name, values.type));
      } catch (error) {
        errors += errorText(error, context.debug);
      }
    }
    if (format === undefined) context.print(`${JSON.stringify(found, undefined, 4)}\n`);
    else
      context.print(
        values.format === 'json'
          ? `${JSON.stringify(found)}\n`
          : found.map((item) => `${format.render(item)}\n`).join(''),
      );
    context.complain(errors);
    return errors === '' ? 0 : 1;
  },
});

async function inspectAny(context: Context, name: string, type: string | undefined): Promise<object> {
  if (type !== 'image') {
    try {
      return await inspectContainer(context.engine, name);
    } catch (error) {
      if (!isKind(error, 'not-found') || type === 'container') throw error;
    }
  }
  const { inspectImage } = await import('../../engine/inspect-image.ts');
  try {
    return await inspectImage(context.engine, name);
  } catch (error) {
    if (!isKind(error, 'not-found') || type === 'image') throw error;
    throw new TareError('not-found', `Cannot inspect ${name}: no such container or image`, { cause: error });
  }
}
