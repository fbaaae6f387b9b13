import { isEqual, isLess } from './compare.ts';
import { Heading } from './heading.ts';
import { printf } from './printf.ts';
import { dataOf, isMapping, isTrue, kindName, type Mapping, plain, show, toJson } from './values.ts';

/** A function of templates: what it takes, and what it does. It throws an Error that says what does not fit. */
interface TemplateFunction {
  readonly min: number;
  readonly max?: number;
  readonly call: (args: readonly unknown[]) => unknown;
}

const unary = (call: (value: unknown) => unknown): TemplateFunction => ({
  min: 1,
  max: 1,
  call: ([value]) => call(value),
});
const order = (call: (a: unknown, b: unknown) => boolean): TemplateFunction => ({
  min: 2,
  max: 2,
  call: ([a, b]) => call(a, b),
});

/** Go's own functions and those that docker and podman add. `and` and `or` are the evaluator's: they do not look at all arguments. */
const functions: Readonly<Record<string, TemplateFunction>> = {
  and: { min: 1, call: (args) => args.at(-1) },
  or: { min: 1, call: (args) => args.at(-1) },
  not: unary((value) => !isTrue(value)),
  eq: { min: 2, call: ([first, ...others]) => others.some((other) => isEqual(first, other)) },
  ne: order((a, b) => !isEqual(a, b)),
  lt: order(isLess),
  le: order((a, b) => !isLess(b, a)),
  gt: order((a, b) => isLess(b, a)),
  ge: order((a, b) => !isLess(a, b)),
  index: { min: 1, call: ([value, ...keys]) => keys.reduce(item, value) },
  slice: { min: 1, max: 3, call: ([value, from, to]) => slice(value, from, to) },
  len: unary(length),
  print: { min: 0, call: print },
  println: { min: 0, call: (args) => `${args.map((arg) => show(arg)).join(' ')}\n` },
  printf: { min: 1, call: ([format, ...args]) => printf(text(format), args) },
  json: unary(toJson),
  join: { min: 2, max: 2, call: join },
  split: { min: 2, max: 2, call: ([value, separator]) => split(text(value), text(separator)) },
  lower: unary((value) => text(value).toLowerCase()),
  upper: unary((value) => text(value).toUpperCase()),
  title: unary((value) => text(value).replace(/(?<![\p{L}\p{N}_])\p{L}/gu, (letter) => letter.toUpperCase())),
  truncate: { min: 2, max: 2, call: ([value, limit]) => [...text(value)].slice(0, count(limit)).join('') },
  pad: { min: 3, max: 3, call: ([value, before, after]) => pad(text(value), count(before), count(after)) },
};

/** In the line of headings they leave the heading as it is. */
const QUIET: ReadonlySet<string> = new Set([
  'index',
  'slice',
  'len',
  'json',
  'join',
  'split',
  'lower',
  'upper',
  'title',
  'truncate',
  'pad',
]);
const MAX_PAD = 10_000;

/** Their names, in the order of the reference page. */
export const functionNames: readonly string[] = Object.keys(functions);

/** Calls a function. Errors: Error that says what does not fit. */
export function callFunction(name: string, args: readonly unknown[]): unknown {
  const found = Object.hasOwn(functions, name) ? functions[name] : undefined;
  if (found === undefined) throw new Error(`there is no function ${name}`);
  const { min, max } = found;
  if (args.length < min || args.length > (max ?? Infinity)) {
    const wanted = max === undefined ? `at least ${min}` : min === max ? String(min) : `${min} to ${max}`;
    throw new Error(`${name} takes ${wanted} argument${wanted.endsWith('1') ? '' : 's'}, not ${args.length}`);
  }
  const heading = args.find((arg) => arg instanceof Heading);
  if (heading !== undefined && QUIET.has(name)) return heading;
  if (heading !== undefined && name === 'printf')
    return printf(
      text(args[0]).replace(
        /%([-0]*)([0-9]*)(?:\.[0-9]+)?[a-zA-Z]/g,
        (_, flags: string, width: string) => `%${flags}${width}v`,
      ),
      args.slice(1),
    );
  return found.call(args);
}

function text(value: unknown): string {
  const inner = plain(value);
  if (inner === undefined || inner === null) return '';
  if (typeof inner !== 'string') throw new Error(`expected a text, found ${kindName(inner)}`);
  return inner;
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0)
    throw new Error(`expected a whole number, found ${typeof value === 'number' ? value : kindName(value)}`);
  return value;
}

/** One step of `index`: of a list by number, of an object by key. What is not there is nothing. */
function item(value: unknown, key: unknown): unknown {
  const inner = dataOf(value);
  if (inner === undefined || inner === null) return undefined;
  if (Array.isArray(inner) || typeof inner === 'string') {
    const items: readonly unknown[] = typeof inner === 'string' ? [...Buffer.from(inner)] : inner;
    const at = count(key);
    if (at >= items.length) throw new Error(`index ${at} is beyond the end: there are ${items.length}`);
    return items[at];
  }
  if (!isMapping(inner)) throw new Error(`cannot index ${kindName(inner)}`);
  const name = plain(key);
  if (typeof name !== 'string') throw new Error(`expected a text as key, found ${kindName(name)}`);
  if (Object.hasOwn(inner, name)) return inner[name];
  // Go has the zero value of the map's type.
  return isTexts(inner) ? '' : undefined;
}

function isTexts(value: Mapping): boolean {
  return Object.values(value).every((member) => typeof member === 'string');
}

function slice(value: unknown, from: unknown, to: unknown): unknown {
  const inner = Array.isArray(dataOf(value)) ? dataOf(value) : plain(value);
  if (typeof inner !== 'string' && !Array.isArray(inner)) throw new Error(`cannot slice ${kindName(inner)}`);
  const bytes = typeof inner === 'string' ? Buffer.from(inner) : undefined;
  const size = bytes?.length ?? inner.length;
  const start = from === undefined ? 0 : count(from);
  const end = to === undefined ? size : count(to);
  if (start > end || end > size) throw new Error(`cannot slice from ${start} to ${end}: there are ${size}`);
  return bytes === undefined ? inner.slice(start, end) : bytes.subarray(start, end).toString();
}

function length(value: unknown): number {
  const inner = dataOf(value);
  if (inner === undefined || inner === null) return 0;
  if (typeof inner === 'string') return Buffer.byteLength(inner);
  if (Array.isArray(inner)) return inner.length;
  if (isMapping(inner)) return Object.keys(inner).length;
  throw new Error(`${kindName(inner)} has no length`);
}

/** A space between two values of which neither is a text. */
function print(args: readonly unknown[]): string {
  let result = '';
  args.forEach((arg, at) => {
    const isText = (value: unknown): boolean => typeof plain(value) === 'string';
    if (at > 0 && !isText(arg) && !isText(args[at - 1])) result += ' ';
    result += show(arg);
  });
  return result;
}

/** The list may come first, as in Go, or last, as a pipe brings it. */
function join([first, second]: readonly unknown[]): string {
  const lists = [dataOf(first), dataOf(second)];
  const [list, separator] = Array.isArray(lists[1]) ? [lists[1], first] : [lists[0], second];
  if (list === undefined || list === null) return '';
  if (!Array.isArray(list)) throw new Error(`join expects a list, found ${kindName(list)}`);
  return list.map((member) => show(member)).join(text(separator));
}

function split(value: string, separator: string): string[] {
  return separator === '' ? [...value] : value.split(separator);
}

function pad(value: string, before: number, after: number): string {
  if (before > MAX_PAD || after > MAX_PAD) throw new Error(`pad takes at most ${MAX_PAD} spaces`);
  return value === '' ? '' : ' '.repeat(before) + value + ' '.repeat(after);
}
