import type { Format } from './format.ts';
import { renderTable } from './table.ts';

/**
 * Items as docker prints a list: with a template one line for each (`json`: one JSON object for each); `table ...` with a heading line. `headings`
 * gives the words of the heading where they differ from the field's name. Without a template: `columns` of the item, aligned.
 */
export function renderRows(
  items: readonly Readonly<Record<string, string>>[],
  format: Format | undefined,
  columns: readonly string[],
  headings: Readonly<Record<string, string>>,
): string {
  const heading = (field: string): string => headings[field] ?? field.toUpperCase();
  if (format === undefined) {
    return renderTable([columns.map(heading), ...items.map((item) => columns.map((column) => item[column] ?? ''))]);
  }
  if (!format.table) return items.map((item) => `${format.render(item)}\n`).join('');
  const cells = (line: string): string[] => line.split('\t');
  const top = format.render(Object.fromEntries(format.headings.map((field) => [field, heading(field)])));
  return renderTable([cells(top), ...items.map((item) => cells(format.render(item)))]);
}
