import type { Format } from './format.ts';
import { renderTable } from './table.ts';
import { fieldHeading } from './template/heading.ts';
import { Shown } from './template/shown.ts';

/** An item of a list: what its templates may use. */
export type Row = Readonly<Record<string, unknown>>;

/**
 * Items as docker prints a list: with a template one line for each (`json`: one JSON object for each); `table ...` with a heading line; a template that begins with
 * `{{range .}}` gets the whole list, as podman's. `headings` gives the words of the heading where they differ from the field's name. Without a template: `columns` of the
 * item, aligned. `noHeading` leaves the line of headings out.
 */
export function renderRows(
  items: readonly Row[],
  format: Format | undefined,
  columns: readonly string[],
  headings: Readonly<Record<string, string>>,
  noHeading = false,
): string {
  if (format === undefined) {
    const top = columns.map((field) => headings[field] ?? fieldHeading(field));
    const rows = items.map((item) => columns.map((column) => cellText(item[column])));
    return renderTable(noHeading ? rows : [top, ...rows]);
  }
  if (format.isForList) {
    const text = format.render(items);
    return text === '' || text.endsWith('\n') ? text : `${text}\n`;
  }
  if (!format.table) return items.map((item) => `${format.render(item)}\n`).join('');
  const cells = (line: string): string[] => line.split('\t');
  const rows = items.map((item) => cells(format.render(item)));
  return renderTable(noHeading ? rows : [cells(format.heading(headings)), ...rows]);
}

function cellText(value: unknown): string {
  if (value instanceof Shown) return value.text;
  return typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value);
}
