import type { Node, Pipe, Term } from './ast.ts';
import { Evaluation } from './evaluate.ts';
import { Heading } from './heading.ts';
import { parseTemplate } from './parse.ts';

/** A Go template, parsed once. See docs/reference/templates.md. */
export interface Template {
  /** Every field name that occurs in it: what a caller need not gather when it is not there. */
  readonly fields: ReadonlySet<string>;
  /** It begins with `{{range .}}`: it is for the whole list, as podman has it. */
  readonly isForList: boolean;
  /** The text for some data. Errors: UsageError with line and column. */
  readonly render: (data: unknown) => string;
  /** The line of headings. `words`: headings that differ from the field's name. Errors: UsageError. */
  readonly heading: (words: Readonly<Record<string, string>>) => string;
}

/** Parses a template; `from` is where it begins in the text. `strict`: names that are not there are mistakes in every object. Errors: UsageError with line, column and what was expected. */
export function compileTemplate(
  text: string,
  options: { readonly strict?: boolean; readonly from?: number } = {},
): Template {
  const nodes = parseTemplate(text, options.from ?? 0);
  const fields = new Set<string>();
  collect(nodes, fields);
  return {
    fields,
    isForList: isRangeOverAll(nodes),
    render: (data) => new Evaluation(text, data, options.strict).render(nodes),
    heading: (words) => new Evaluation(text, new Heading('', words)).render(nodes),
  };
}

function isRangeOverAll(nodes: readonly Node[]): boolean {
  const first = nodes.find((node) => node.kind !== 'text' || node.text.trim() !== '');
  if (first?.kind !== 'range') return false;
  const [command, ...more] = first.pipe.commands;
  return (
    more.length === 0 &&
    command?.args.length === 0 &&
    command.head.base.kind === 'dot' &&
    command.head.names.length === 0
  );
}

function collect(nodes: readonly Node[], fields: Set<string>): void {
  for (const node of nodes) {
    if (!('pipe' in node)) continue;
    ofPipe(node.pipe, fields);
    if (!('body' in node)) continue;
    collect(node.body, fields);
    collect(node.otherwise, fields);
  }
}

function ofPipe(pipe: Pipe, fields: Set<string>): void {
  for (const { head, args } of pipe.commands) for (const term of [head, ...args]) ofTerm(term, fields);
}

function ofTerm({ base, names }: Term, fields: Set<string>): void {
  for (const name of names) fields.add(name);
  if (base.kind === 'pipe') ofPipe(base.pipe, fields);
}
