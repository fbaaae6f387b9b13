import { nearest } from '../nearest.ts';
import type { Base, BlockNode, Command, Node, Pipe, Term } from './ast.ts';
import { templateError } from './error.ts';
import { functionNames } from './functions.ts';
import { lex, type Token, tokenText } from './lex.ts';

const MAX_CHARACTERS = 65_536;
const MAX_DEPTH = 100;
const KEYWORDS: readonly string[] = [
  'if',
  'else',
  'end',
  'range',
  'with',
  'break',
  'continue',
  'define',
  'template',
  'block',
];

/** Parses what is from `from` on. Errors: UsageError with line, column and what was expected. */
export function parseTemplate(text: string, from = 0): Node[] {
  if (text.length > MAX_CHARACTERS)
    throw templateError(text, 0, `the template has more than ${MAX_CHARACTERS} characters`);
  return new Parser(text, from).whole();
}

type Ending = { readonly kind: 'end' | 'else' | 'eof'; readonly at: number };

class Parser {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;
  #loops = 0;
  /** Names that are defined here, innermost last. */
  readonly #variables = ['$'];

  constructor(text: string, from: number) {
    this.#text = text;
    this.#tokens = lex(text, from);
  }

  whole(): Node[] {
    const { nodes, ending } = this.#nodes();
    if (ending.kind !== 'eof') throw this.#error(ending.at, `{{${ending.kind}}} without if, with or range before it`);
    return nodes;
  }

  /** Up to the `end`, `else` or the end of the text; the word `end` or `else` is taken. */
  #nodes(): { nodes: Node[]; ending: Ending } {
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#take();
      if (token.kind === 'eof') return { nodes, ending: { kind: 'eof', at: token.at } };
      if (token.kind === 'text') {
        nodes.push({ kind: 'text', text: token.text });
        continue;
      }
      const word = this.#peek();
      const keyword = word.kind === 'word' && KEYWORDS.includes(word.text) ? word.text : undefined;
      if (keyword === undefined) {
        const pipe = this.#pipe('}}', 1);
        this.#close();
        nodes.push({ kind: 'print', pipe });
        continue;
      }
      this.#take();
      if (keyword === 'end' || keyword === 'else') {
        if (keyword === 'end') this.#close();
        return { nodes, ending: { kind: keyword, at: word.at } };
      }
      if (keyword === 'if' || keyword === 'with' || keyword === 'range') nodes.push(this.#block(keyword, token.at));
      else if (keyword === 'break' || keyword === 'continue') {
        if (this.#loops === 0) throw this.#error(word.at, `{{${keyword}}} outside a range`);
        this.#close();
        nodes.push({ kind: keyword });
      } else throw this.#error(word.at, `${keyword} is not supported: write the template out`);
    }
  }

  #block(kind: BlockNode['kind'], at: number): BlockNode {
    return this.#deeper(at, () => {
      const scope = this.#variables.length;
      const pipe = this.#pipe('}}', kind === 'range' ? 2 : 1);
      this.#close();
      if (kind === 'range') this.#loops++;
      const inner = this.#variables.length;
      const { nodes: body, ending } = this.#nodes();
      this.#variables.length = inner;
      if (kind === 'range') this.#loops--;
      const otherwise = this.#otherwise(kind, at, ending);
      this.#variables.length = scope;
      return { kind, pipe, body, otherwise };
    });
  }

  #otherwise(kind: BlockNode['kind'], at: number, ending: Ending): readonly Node[] {
    if (ending.kind === 'eof') throw this.#error(at, `{{${kind}}} is not closed: expected {{end}}`);
    if (ending.kind === 'end') return [];
    const word = this.#peek();
    // `else if` shares the end of the whole.
    if (word.kind === 'word' && word.text === kind && kind !== 'range') {
      this.#take();
      return [this.#block(kind, word.at)];
    }
    this.#close();
    const rest = this.#nodes();
    if (rest.ending.kind === 'else') throw this.#error(rest.ending.at, `a second {{else}}: expected {{end}}`);
    if (rest.ending.kind === 'eof') throw this.#error(at, `{{${kind}}} is not closed: expected {{end}}`);
    return rest.nodes;
  }

  #pipe(end: '}}' | ')', maxVariables: number): Pipe {
    const { at } = this.#peek();
    const { names, declares } = this.#assigned(maxVariables);
    const commands: Command[] = [this.#command()];
    while (this.#isSign('|')) {
      this.#take();
      commands.push(this.#command());
    }
    const token = this.#peek();
    if (end === '}}' ? token.kind !== 'close' : !this.#isSign(')'))
      throw this.#error(token.at, `expected ${end}, found ${tokenText(token)}`);
    // A variable is there after its own value.
    if (declares) this.#variables.push(...names);
    return { at, variables: names, declares, commands };
  }

  /** `$x :=`, `$x =` or `$i, $v :=` in front of a pipe. */
  #assigned(maxVariables: number): { readonly names: readonly string[]; readonly declares: boolean } {
    const first = this.#peek();
    if (first.kind !== 'variable') return { names: [], declares: false };
    const second = this.#peek(1);
    const names = [first.text];
    let length = 1;
    if (second.kind === 'sign' && second.text === ',') {
      const other = this.#peek(2);
      if (other.kind !== 'variable') throw this.#error(other.at, `expected a variable, found ${tokenText(other)}`);
      if (maxVariables < 2) throw this.#error(second.at, 'two variables are for range only');
      names.push(other.text);
      length = 3;
    }
    const sign = this.#peek(length);
    if (sign.kind !== 'sign' || (sign.text !== ':=' && sign.text !== '=')) {
      if (length === 3) throw this.#error(sign.at, `expected :=, found ${tokenText(sign)}`);
      return { names: [], declares: false };
    }
    this.#next += length + 1;
    const declares = sign.text === ':=';
    if (!declares) for (const name of names) this.#known(first.at, name);
    return { names, declares };
  }

  #command(): Command {
    const head = this.#term();
    const args: Term[] = [];
    for (;;) {
      const token = this.#peek();
      if (token.kind === 'close' || token.kind === 'eof' || this.#isSign('|') || this.#isSign(')')) break;
      if (!token.apart) throw this.#error(token.at, `expected a space, | or }}, found ${tokenText(token)}`);
      args.push(this.#term());
    }
    return { head, args };
  }

  #term(): Term {
    const token = this.#take();
    const names: string[] = [];
    let base: Base;
    if (token.kind === 'field') {
      base = { kind: 'dot' };
      names.push(token.text);
    } else base = this.#base(token);
    for (let next = this.#peek(); next.kind === 'field' && !next.apart; next = this.#peek()) {
      if (base.kind === 'literal' || base.kind === 'call')
        throw this.#error(next.at, 'only a value in parentheses has fields');
      names.push(next.text);
      this.#take();
    }
    return { at: token.at, base, names };
  }

  #base(token: Token): Base {
    if (token.kind === 'literal') return { kind: 'literal', value: token.value };
    if (token.kind === 'variable') return { kind: 'variable', name: this.#known(token.at, token.text) };
    if (token.kind === 'sign' && token.text === '.') return { kind: 'dot' };
    if (token.kind === 'sign' && token.text === '(') {
      return this.#deeper(token.at, () => {
        const pipe = this.#pipe(')', 0);
        this.#take();
        return { kind: 'pipe', pipe };
      });
    }
    if (token.kind !== 'word')
      throw this.#error(token.at, `expected a field, function, variable or value, found ${tokenText(token)}`);
    if (token.text === 'true' || token.text === 'false') return { kind: 'literal', value: token.text === 'true' };
    if (token.text === 'nil') return { kind: 'literal', value: null };
    if (functionNames.includes(token.text)) return { kind: 'call', name: token.text };
    const guess = nearest(token.text, functionNames);
    const hint = guess === undefined ? `; there are ${functionNames.join(', ')}` : `; did you mean ${guess}?`;
    throw this.#error(token.at, `there is no function ${token.text}${hint}`);
  }

  #known(at: number, name: string): string {
    if (!this.#variables.includes(name)) throw this.#error(at, `there is no variable ${name} here`);
    return name;
  }

  #close(): void {
    const token = this.#take();
    if (token.kind !== 'close') throw this.#error(token.at, `expected }}, found ${tokenText(token)}`);
  }

  #deeper<T>(at: number, read: () => T): T {
    if (++this.#depth > MAX_DEPTH) throw this.#error(at, `the template is nested more than ${MAX_DEPTH} deep`);
    const result = read();
    this.#depth--;
    return result;
  }

  #isSign(text: string): boolean {
    const token = this.#peek();
    return token.kind === 'sign' && token.text === text;
  }

  #peek(ahead = 0): Token {
    return this.#tokens[this.#next + ahead] ?? { kind: 'eof', at: this.#text.length, apart: false };
  }

  #take(): Token {
    const token = this.#peek();
    this.#next++;
    return token;
  }

  #error(at: number, message: string): Error {
    return templateError(this.#text, at, message);
  }
}
