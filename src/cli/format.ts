import { compileTemplate } from './template/template.ts';

/** A compiled `--format`: one line of text for one item. */
export interface Format {
  /** `json` and nothing else was asked for. */
  readonly json: boolean;
  /** `table ...`: a heading and aligned columns are wanted. */
  readonly table: boolean;
  /** Every field name that occurs in it. */
  readonly fields: ReadonlySet<string>;
  /** `{{range .}}...`: `render` wants the whole list. */
  readonly isForList: boolean;
  /** The line of headings for `table`: cells separated by tabs. */
  readonly heading: (words: Readonly<Record<string, string>>) => string;
  /** The text of an item; for a table its cells are separated by tabs. Errors: UsageError for a field the item does not have. */
  readonly render: (item: unknown) => string;
}

/**
 * Compiles `json` or a Go template (docs/reference/templates.md); `table` before a template asks for a heading.
 * Errors: UsageError with line, column and what was expected.
 */
export function compileFormat(text: string, options: { readonly strict?: boolean } = {}): Format {
  if (text === 'json') {
    return {
      json: true,
      table: false,
      fields: new Set(),
      isForList: false,
      heading: () => '',
      render: (item) => JSON.stringify(item),
    };
  }
  const from = /^table(?:\s|\\t|$)+/.exec(text)?.[0].length ?? 0;
  return { ...compileTemplate(text, { ...options, from }), json: false, table: from > 0 };
}

export { type Filters, parseFilters } from './filters.ts';
