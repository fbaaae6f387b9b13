import { templateError } from './error.ts';
import { unquote } from './go-string.ts';

/** A piece of a template. `at` is its place in the text. */
export type Token = { readonly at: number; /** White space stands before it. */ readonly apart: boolean } & (
  | { readonly kind: 'text' | 'word' | 'field' | 'variable' | 'sign'; readonly text: string }
  | { readonly kind: 'literal'; readonly value: string | number }
  | { readonly kind: 'open' | 'close' | 'eof' }
);

const SPACE = /[ \t\r\n]+/y;
/** As Go's, and a dash between letters or digits, so that labels can be named. */
const FIELD = /\.([\p{L}_](?:[\p{L}\p{N}_]|-(?=[\p{L}\p{N}]))*)/uy;
const VARIABLE = /\$[\p{L}\p{N}_]*/uy;
const WORD = /[\p{L}_][\p{L}\p{N}_]*/uy;
const NUMBER =
  /[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)(?![\p{L}\p{N}_.])/uy;
const STRING = /"((?:[^"\\\n]|\\.)*)"/y;
const RAW = /`([^`]*)`/y;
const CHARACTER = /'((?:[^'\\\n]|\\.)[^'\n]*)'/y;
const SIGN = /:=|[=|(),.]/y;
const COMMENT_END = /\*\/([ \t\r\n]+-)?\}\}/y;

/** Cuts a template, which begins at `from`, into tokens: text, and what stands between `{{` and `}}`. Comments are gone, trimming is done. Errors: UsageError. */
export function lex(text: string, from = 0): Token[] {
  const tokens: Token[] = [];
  let at = from;
  let trims = false;
  for (;;) {
    const open = text.indexOf('{{', at);
    const end = open < 0 ? text.length : open;
    const trimsBefore = open >= 0 && /^-[ \t\r\n]/.test(text.slice(open + 2, open + 4));
    let literal = withBreaks(text.slice(at, end));
    if (trims) literal = literal.replace(/^[ \t\r\n]+/, '');
    if (trimsBefore) literal = literal.replace(/[ \t\r\n]+$/, '');
    if (literal !== '') tokens.push({ kind: 'text', text: literal, at, apart: false });
    if (open < 0) {
      tokens.push({ kind: 'eof', at: text.length, apart: false });
      return tokens;
    }
    const inside = open + (trimsBefore ? 4 : 2);
    const action = text.startsWith('/*', inside)
      ? comment(text, open, inside)
      : new ActionLexer(text, open, inside).read(tokens);
    at = action.at;
    trims = action.trims;
  }
}

/** As docker and podman: tabs and ends of lines may be written as in a string. */
function withBreaks(text: string): string {
  return text.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
}

function comment(text: string, open: number, inside: number): { at: number; trims: boolean } {
  const close = text.indexOf('*/', inside + 2);
  if (close < 0) throw templateError(text, open, 'the comment is not closed: expected */}}');
  COMMENT_END.lastIndex = close;
  const match = COMMENT_END.exec(text);
  if (match === null) throw templateError(text, close + 2, 'expected }} right after a comment');
  return { at: close + match[0].length, trims: match[1] !== undefined };
}

class ActionLexer {
  readonly #text: string;
  readonly #open: number;
  #at: number;

  constructor(text: string, open: number, at: number) {
    this.#text = text;
    this.#open = open;
    this.#at = at;
  }

  /** Appends the tokens of one action; the result is where it ends. */
  read(tokens: Token[]): { at: number; trims: boolean } {
    tokens.push({ kind: 'open', at: this.#open, apart: false });
    for (;;) {
      const apart = this.#match(SPACE) !== undefined;
      const at = this.#at;
      const trims = apart && this.#text.startsWith('-}}', at);
      if (trims || this.#text.startsWith('}}', at)) {
        tokens.push({ kind: 'close', at, apart });
        return { at: at + (trims ? 3 : 2), trims };
      }
      tokens.push({ ...this.#token(), at, apart });
    }
  }

  #token():
    | { kind: 'word' | 'field' | 'variable' | 'sign'; text: string }
    | { kind: 'literal'; value: string | number } {
    const at = this.#at;
    const number = this.#match(NUMBER);
    if (number !== undefined) return { kind: 'literal', value: this.#number(at, number[0]) };
    const field = this.#match(FIELD);
    if (field !== undefined) return { kind: 'field', text: field[1] ?? '' };
    const variable = this.#match(VARIABLE);
    if (variable !== undefined) return { kind: 'variable', text: variable[0] };
    const word = this.#match(WORD);
    if (word !== undefined) return { kind: 'word', text: word[0] };
    const sign = this.#match(SIGN);
    if (sign !== undefined) return { kind: 'sign', text: sign[0] };
    const raw = this.#match(RAW);
    if (raw !== undefined) return { kind: 'literal', value: withBreaks(raw[1] ?? '') };
    const string = this.#match(STRING);
    if (string !== undefined) return { kind: 'literal', value: this.#unquoted(at, string[1] ?? '') };
    const character = this.#match(CHARACTER);
    if (character !== undefined) {
      const points = [...this.#unquoted(at, character[1] ?? '')];
      if (points.length !== 1) throw this.#error(at, 'expected one character between single quotes');
      return { kind: 'literal', value: points[0]?.codePointAt(0) ?? 0 };
    }
    const found = String.fromCodePoint(this.#text.codePointAt(at) ?? 0);
    if (at >= this.#text.length) throw this.#error(this.#open, '{{ is not closed: expected }}');
    if (/["'`]/.test(found)) throw this.#error(at, `the string that begins here is not closed: expected ${found}`);
    throw this.#error(at, `expected a field, function, variable or value, found ${JSON.stringify(found)}`);
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at += match[0].length;
    return match;
  }

  #number(at: number, text: string): number {
    const [, sign = '', rest = ''] = /^([+-]?)(.*)$/.exec(text.replaceAll('_', '')) ?? [];
    const value = Number(/^0[0-7]+$/.test(rest) ? `0o${rest.slice(1)}` : rest);
    if (!Number.isFinite(value)) throw this.#error(at, `expected a number, found ${text}`);
    return sign === '-' ? -value : value;
  }

  #unquoted(at: number, inner: string): string {
    const value = unquote(inner);
    if (value === undefined) throw this.#error(at, 'there is an unknown escape in this string');
    return value;
  }

  #error(at: number, message: string): Error {
    return templateError(this.#text, at, message);
  }
}

/** A token as errors name it. */
export function tokenText(token: Token): string {
  switch (token.kind) {
    case 'open':
      return '{{';
    case 'close':
      return '}}';
    case 'eof':
      return 'the end';
    case 'literal':
      return JSON.stringify(token.value);
    case 'field':
      return `.${token.text}`;
    default:
      return token.text;
  }
}
