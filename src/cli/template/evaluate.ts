import type { BlockNode, Command, Node, Pipe, Term } from './ast.ts';
import { templateError } from './error.ts';
import { callFunction } from './functions.ts';
import { Heading } from './heading.ts';
import { Lookup } from './lookup.ts';
import { dataOf, isMapping, isTrue, kindName, plain, show, sortedKeys } from './values.ts';

/** What one rendering may take: templates come from scripts, and data from strangers. */
const MAX_STEPS = 1_000_000;
const MAX_OUTPUT_CHARACTERS = 16 * 1024 * 1024;

/** What a list of nodes tells its loop. */
type Flow = 'on' | 'break' | 'continue';

/** Renders parsed templates over data. Only own properties of the data are ever looked at. Errors: UsageError with the place. */
export class Evaluation {
  readonly #text: string;
  readonly #root: unknown;
  readonly #variables: { readonly name: string; value: unknown }[];
  readonly #lookup: Lookup;
  readonly #parts: string[] = [];
  #characters = 0;
  #steps = 0;

  /** `strict`: an object without capitals in its keys is a structure, too, in which a name that is not there is a mistake. */
  constructor(text: string, root: unknown, strict = false) {
    this.#text = text;
    this.#root = root;
    this.#lookup = new Lookup(root, strict);
    this.#variables = [{ name: '$', value: root }];
  }

  render(nodes: readonly Node[]): string {
    this.#nodes(nodes, this.#root);
    return this.#parts.join('');
  }

  #nodes(nodes: readonly Node[], dot: unknown): Flow {
    const scope = this.#variables.length;
    for (const node of nodes) {
      const flow = this.#node(node, dot);
      if (flow !== 'on') {
        this.#variables.length = scope;
        return flow;
      }
    }
    this.#variables.length = scope;
    return 'on';
  }

  #node(node: Node, dot: unknown): Flow {
    switch (node.kind) {
      case 'text':
        this.#write(0, node.text);
        return 'on';
      case 'print': {
        const value = this.#pipe(node.pipe, dot);
        if (node.pipe.variables.length === 0) this.#write(node.pipe.at, shownAtTop(value));
        else this.#assign(node.pipe, [value]);
        return 'on';
      }
      case 'break':
      case 'continue':
        return node.kind;
      case 'range':
        return this.#range(node, dot);
      default:
        return this.#choose(node, dot);
    }
  }

  #choose(node: BlockNode, dot: unknown): Flow {
    const scope = this.#variables.length;
    const value = this.#pipe(node.pipe, dot);
    this.#assign(node.pipe, [value]);
    const holds = isTrue(value);
    const flow = this.#nodes(holds ? node.body : node.otherwise, holds && node.kind === 'with' ? value : dot);
    this.#variables.length = scope;
    return flow;
  }

  #range(node: BlockNode, dot: unknown): Flow {
    const scope = this.#variables.length;
    let any = false;
    for (const [key, value] of this.#items(node.pipe.at, this.#pipe(node.pipe, dot))) {
      any = true;
      this.#step(node.pipe.at);
      this.#assign(node.pipe, node.pipe.variables.length > 1 ? [key, value] : [value]);
      const flow = this.#nodes(node.body, value);
      this.#variables.length = scope;
      if (flow === 'break') break;
    }
    return any ? 'on' : this.#nodes(node.otherwise, dot);
  }

  /** What `range` goes through. */
  #items(at: number, value: unknown): Iterable<readonly [unknown, unknown]> {
    const inner = dataOf(value);
    if (inner === undefined || inner === null) return [];
    if (inner instanceof Heading) return [[inner, inner]];
    if (Array.isArray(inner)) return inner.entries();
    if (isMapping(inner)) return sortedKeys(inner).map((key) => [key, inner[key]] as const);
    if (typeof inner === 'number' && Number.isInteger(inner)) return counted(inner);
    throw this.#error(at, `cannot range over ${kindName(inner)}`);
  }

  #assign({ variables, declares }: Pipe, values: readonly unknown[]): void {
    variables.forEach((name, index) => {
      const value = values[index];
      const known = declares ? undefined : this.#variables.findLast((variable) => variable.name === name);
      if (known === undefined) this.#variables.push({ name, value });
      else known.value = value;
    });
  }

  #pipe({ commands }: Pipe, dot: unknown): unknown {
    let value: unknown;
    commands.forEach((command, index) => {
      value = this.#command(command, dot, index === 0 ? [] : [value]);
    });
    return value;
  }

  #command({ head, args }: Command, dot: unknown, piped: readonly unknown[]): unknown {
    if (head.base.kind === 'call') {
      const { name } = head.base;
      if (name === 'and' || name === 'or') return this.#shortCircuit(head.at, name, args, dot, piped);
      const values = [...args.map((arg) => this.#term(arg, dot, [])), ...piped];
      return this.#attempt(head.at, () => callFunction(name, values));
    }
    const given = [...args.map((arg) => this.#term(arg, dot, [])), ...piped];
    if (given.length > 0 && head.names.length === 0)
      throw this.#error(head.at, 'only functions and fields that are functions take arguments');
    return this.#term(head, dot, given);
  }

  /** The first that is false (`and`) or true (`or`), else the last; what comes after it is not looked at. */
  #shortCircuit(
    at: number,
    name: 'and' | 'or',
    args: readonly Term[],
    dot: unknown,
    piped: readonly unknown[],
  ): unknown {
    if (args.length + piped.length === 0) throw this.#error(at, `${name} takes at least 1 argument, not 0`);
    let value: unknown;
    for (const arg of args) {
      value = this.#term(arg, dot, []);
      if (isTrue(value) === (name === 'or')) return value;
    }
    return piped.length > 0 ? piped[0] : value;
  }

  /** The value of a term; `args` are for its last field. */
  #term({ at, base, names }: Term, dot: unknown, args: readonly unknown[]): unknown {
    this.#step(at);
    let value = this.#base(at, base, dot);
    names.forEach((name, index) => {
      value = this.#field(at, value, name, index === names.length - 1 ? args : []);
    });
    return value;
  }

  #base(at: number, base: Term['base'], dot: unknown): unknown {
    switch (base.kind) {
      case 'dot':
        return dot;
      case 'literal':
        return base.value;
      case 'variable':
        return this.#variables.findLast(({ name }) => name === base.name)?.value;
      case 'pipe': {
        const value = this.#pipe(base.pipe, dot);
        this.#assign(base.pipe, [value]);
        return value;
      }
      case 'call':
        return this.#attempt(at, () => callFunction(base.name, []));
    }
  }

  #field(at: number, parent: unknown, name: string, args: readonly unknown[]): unknown {
    const object = dataOf(parent);
    if (object instanceof Heading) return object.field(name, args);
    const value = this.#attempt(at, () => this.#lookup.field(object, name));
    if (typeof value === 'function') return this.#attempt(at, () => callMethod(name, value as Method, args));
    if (args.length > 0) throw this.#error(at, `field ${name} takes no arguments`);
    return value;
  }

  #attempt<T>(at: number, call: () => T): T {
    let value: T;
    try {
      value = call();
    } catch (error) {
      throw this.#error(at, error instanceof Error ? error.message : String(error));
    }
    if (typeof value === 'string') this.#measure(at, value);
    return value;
  }

  #write(at: number, text: string): void {
    this.#measure(at, text);
    this.#characters += text.length;
    if (this.#characters > MAX_OUTPUT_CHARACTERS)
      throw this.#error(at, `the output has more than ${MAX_OUTPUT_CHARACTERS} characters`);
    this.#parts.push(text);
  }

  /** Long texts count as work. */
  #measure(at: number, text: string): void {
    this.#step(at, 1 + (text.length >> 8));
  }

  #step(at: number, steps = 1): void {
    this.#steps += steps;
    if (this.#steps > MAX_STEPS) throw this.#error(at, `the template does more than ${MAX_STEPS} steps`);
  }

  #error(at: number, message: string): Error {
    return templateError(this.#text, at, message);
  }
}

/** What is nothing is said to be `<no value>` where it is printed by itself. */
function shownAtTop(value: unknown): string {
  return plain(value) === undefined || plain(value) === null ? '<no value>' : show(value);
}

function* counted(to: number): Generator<readonly [number, number]> {
  for (let i = 0; i < to; i++) yield [i, i];
}

type Method = (...args: readonly unknown[]) => unknown;

function callMethod(name: string, method: Method, args: readonly unknown[]): unknown {
  if (args.length !== method.length)
    throw new Error(`${name} takes ${method.length} argument${method.length === 1 ? '' : 's'}, not ${args.length}`);
  return method(...args.map(plain));
}
