import type { Context } from './context.ts';
import { errorText } from './failure.ts';
import { compileFormat, type Format } from './format.ts';
import type { FlagTable } from './flag-table.ts';
import { renderRows, type Row } from './rows.ts';

/** `--format` of verbs that print all that is known of something; `field` is an example. */
export const inspectFormat = (field: string) =>
  ({
    type: 'text',
    short: 'f',
    value: 'json|TEMPLATE',
    help: `Print fields of the JSON, like {{.${field}}}; json: one list on one line`,
  }) as const satisfies FlagTable[string];

/**
 * Prints what `find` makes of each item, most often a name, as a JSON list or by a template, and then what went wrong; the result is the exit code, `failed` when anything did.
 * Errors: UsageError for the template; BrokenPipe.
 */
export async function inspectEach<T>(
  context: Context,
  asked: string | undefined,
  items: readonly T[],
  find: (item: T) => object | Promise<object>,
  failed = 1,
): Promise<number> {
  const format = asked === undefined ? undefined : compileFormat(asked);
  const found: object[] = [];
  let errors = '';
  for (const item of items) {
    try {
      found.push(await find(item));
    } catch (error) {
      errors += errorText(error, context.debug);
    }
  }
  try {
    context.print(textOf(found, format));
  } finally {
    context.complain(errors);
  }
  return errors === '' ? 0 : failed;
}

function textOf(found: readonly object[], format: Format | undefined): string {
  if (format === undefined) return `${JSON.stringify(found, undefined, 4)}\n`;
  return format.json ? `${JSON.stringify(found)}\n` : renderRows(found as Row[], format, [], {});
}
