/** A parsed template. Offsets (`at`) are into the text as it was given. */
export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipe: Pipe }
  | BlockNode
  | { readonly kind: 'break' }
  | { readonly kind: 'continue' };

/** `if`, `with`, `range`: what is done when there is something, and what otherwise. */
export interface BlockNode {
  readonly kind: 'if' | 'with' | 'range';
  readonly pipe: Pipe;
  readonly body: readonly Node[];
  readonly otherwise: readonly Node[];
}

/** `$x := a | b c`. */
export interface Pipe {
  readonly at: number;
  /** With the dollar sign; two for `range $i, $v :=`. */
  readonly variables: readonly string[];
  /** `:=` makes new variables, `=` changes those that are there. */
  readonly declares: boolean;
  readonly commands: readonly Command[];
}

/** A function, method or value with its arguments. */
export interface Command {
  readonly head: Term;
  readonly args: readonly Term[];
}

/** A value, and the fields that are taken of it. */
export interface Term {
  readonly at: number;
  readonly base: Base;
  readonly names: readonly string[];
}

/** What a term begins with. `call` is a function by name. */
export type Base =
  | { readonly kind: 'dot' }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'call'; readonly name: string }
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  | { readonly kind: 'pipe'; readonly pipe: Pipe };
