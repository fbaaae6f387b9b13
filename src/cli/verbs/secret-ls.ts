import { hasLabel } from '../../engine/has-label.ts';
import { listSecrets, type SecretRecord } from '../../engine/secrets/store.ts';
import { parseFilters } from '../filters.ts';
import { compileFormat } from '../format.ts';
import { ago } from '../human.ts';
import { labelsShown } from '../labels.ts';
import { renderRows, type Row } from '../rows.ts';
import { defineVerb } from '../verb.ts';

const columns = ['ID', 'Name', 'Driver', 'CreatedAt', 'UpdatedAt'] as const;
const headings = { CreatedAt: 'CREATED', UpdatedAt: 'UPDATED' } as const;
const filterKeys = ['name', 'id', 'label'] as const;

/** `tare secret ls`. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    filter: {
      type: 'list',
      short: 'f',
      value: 'KEY=VALUE',
      offers: filterKeys.map((key) => `${key}=`),
      help: 'Only those whose name has this in it, whose id begins like that, or that have this label',
    },
    format: {
      type: 'text',
      value: 'json|table ...|TEMPLATE',
      help: 'Print fields: ID, Name, Driver, CreatedAt, UpdatedAt, Labels; json: one object a line',
    },
    noheading: { type: 'switch', short: 'n', help: 'No line of headings' },
    quiet: { type: 'switch', short: 'q', help: 'Print ids only' },
  },
  args: { min: 0, max: 0 },
  examples: [["secret ls --format '{{.Name}}'", 'Only the names']],
  run(context, values) {
    const format = values.format === undefined || values.format === 'table' ? undefined : compileFormat(values.format);
    const filters = parseFilters(values.filter, filterKeys);
    const any = (key: (typeof filterKeys)[number], fits: (wanted: string) => boolean): boolean =>
      filters.get(key)?.some(fits) ?? true;
    const secrets = listSecrets(context.engine).filter(
      ({ id, name, labels }) =>
        any('name', (wanted) => name.includes(wanted)) &&
        any('id', (wanted) => id.startsWith(wanted)) &&
        (filters.get('label') ?? []).every((wanted) => hasLabel(labels, wanted)),
    );
    if (values.quiet === true) context.print(secrets.map(({ id }) => `${id}\n`).join(''));
    else {
      const rows = secrets.map((secret) => row(secret, context.now()));
      context.print(renderRows(rows, format, columns, headings, values.noheading === true));
    }
    return 0;
  },
});

function row({ id, name, driver, labels, createdAt, updatedAt }: SecretRecord, now: number): Row {
  return {
    ID: id,
    Name: name,
    Driver: driver,
    CreatedAt: ago(createdAt, now),
    UpdatedAt: ago(updatedAt, now),
    Labels: labelsShown(labels),
  };
}
