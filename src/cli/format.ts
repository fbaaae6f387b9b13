import { UsageError } from './usage-error.ts';

/** A compiled `--format`: one line of text for one item. */
export interface Format {
  /** `table ...`: a heading and aligned columns are wanted. */
  readonly table: boolean;
  /** Column headings for `table`. */
  readonly headings: readonly string[];
  /** The text of an item; for a table its cells are separated by tabs. Errors: UsageError for a field the item does not have. */
  readonly render: (item: unknown) => string;
}

type Part =
  | { readonly text: string }
  | { readonly path: readonly string[]; readonly json: boolean; readonly shown: string };

/**
 * Compiles `json` or a Go template of fields: `{{.Field.Path}}`, `{{json .}}`, `{{json .Field}}`, with `\t` and `\n` in the text between; `table`
 * before a template asks for a heading. Errors: UsageError for any other template action.
 */
export function compileFormat(text: string): Format {
  if (text === 'json') return { table: false, headings: [], render: (item) => JSON.stringify(item) };
  const table = /^table(\s|\\t|$)/.test(text);
  const parts = parseTemplate(table ? text.slice(5).replace(/^(\s|\\t)+/, '') : text);
  const headings = parts.flatMap((part) => ('path' in part ? [part.path.at(-1) ?? ''] : []));
  const render = (item: unknown): string =>
    parts
      .map((part) =>
        'text' in part ? part.text : part.json ? JSON.stringify(lookUp(item, part)) : show(lookUp(item, part)),
      )
      .join('');
  return { table, headings, render };
}

function parseTemplate(text: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (;;) {
    const open = text.indexOf('{{', at);
    const literal = text.slice(at, open < 0 ? text.length : open);
    if (literal !== '') parts.push({ text: literal.replaceAll('\\t', '\t').replaceAll('\\n', '\n') });
    if (open < 0) return parts;
    const close = text.indexOf('}}', open);
    if (close < 0) throw new UsageError(`Cannot use --format ${text}: {{ is not closed`);
    const action = text.slice(open + 2, close).trim();
    const match = /^(json\s+)?\.([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)?$/.exec(action);
    if (match === null) {
      throw new UsageError(
        `Cannot use --format {{${action}}}: only {{.Field.Path}}, {{json .}} and {{json .Field}} are understood`,
      );
    }
    parts.push({ path: match[2]?.split('.') ?? [], json: match[1] !== undefined, shown: action });
    at = close + 2;
  }
}

/** Walks a path: a key matches as written, or else without regard to case, so that `.Id` and `.ID` both work. */
function lookUp(item: unknown, part: { readonly path: readonly string[]; readonly shown: string }): unknown {
  let value = item;
  for (const name of part.path) {
    if (value === null || value === undefined) return undefined;
    if (typeof value !== 'object') throw noField(part.shown, name);
    const object = value as Readonly<Record<string, unknown>>;
    const key = Object.hasOwn(object, name)
      ? name
      : Object.keys(object).find((k) => k.toLowerCase() === name.toLowerCase());
    // A label that is not there is empty; a misspelt field is an error.
    if (key === undefined && Object.keys(object).some((k) => /^[A-Z]/.test(k))) throw noField(part.shown, name);
    value = key === undefined ? undefined : object[key];
  }
  return value;
}

function noField(shown: string, name: string): UsageError {
  return new UsageError(`Cannot use --format {{${shown}}}: there is no field ${name}`);
}

/** A value as Go prints it: lists in brackets, maps as map[k:v]. */
function show(value: unknown): string {
  if (value === undefined || value === null) return '<no value>';
  if (Array.isArray(value)) return `[${value.map(show).join(' ')}]`;
  if (typeof value === 'object') {
    const entries = Object.entries(value as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([key, member]) => `${key}:${show(member)}`).join(' ')}]`;
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Says which values are wanted for one key of a `--filter`. */
export type Filters = ReadonlyMap<string, readonly string[]>;

/** Groups `--filter key=value` flags by key. Errors: UsageError for a key that is not known. */
export function parseFilters(given: readonly string[], known: readonly string[]): Filters {
  const filters = new Map<string, string[]>();
  for (const text of given) {
    const equals = text.indexOf('=');
    const key = text.slice(0, Math.max(equals, 0));
    if (!known.includes(key)) throw new UsageError(`Cannot use --filter ${text}: expected ${known.join('=, ')}=`);
    filters.set(key, [...(filters.get(key) ?? []), text.slice(equals + 1)]);
  }
  return filters;
}
