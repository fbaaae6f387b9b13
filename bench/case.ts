import type { Lab } from './lab.ts';

/** Takes one sample (or several at once), in the unit of its case. A rejection ends this contender, not the case. */
export type Measure = () => Promise<number | readonly number[]>;

/** One row of a case. */
export interface Contender {
  readonly name: string;
  /** The row the others are compared with. The first such row that could be measured is taken. */
  readonly subject?: boolean;
  /**
   * Gets everything ready outside the measured time; what must be undone goes onto `stack`.
   * Errors: Missing when this machine lacks what it needs (the row is skipped); anything else is a failure of the row.
   */
  prepare(lab: Lab, stack: AsyncDisposableStack): Promise<Measure>;
}

/** A limit from the specification, checked on the medians of one case. */
export interface Goal {
  readonly text: string;
  /** `median` throws for a row that was not measured; the goal is then left out. */
  holds(median: (contender: string) => number): { readonly value: number; readonly limit: number };
  /** Default: the value may be at most the limit. */
  readonly atLeast?: boolean;
}

/** One question to the machine. */
export interface Case {
  /** What `--only` takes. */
  readonly name: string;
  readonly title: string;
  readonly unit: 'ms' | '/s' | 'kB' | 'processes';
  /** What share of the rounds this case takes (at least 3 rounds), for samples that take seconds; 0: one round. Default 1. */
  readonly share?: number;
  readonly contenders: readonly Contender[];
  readonly goals?: readonly Goal[];
}

/** This machine lacks what a contender needs: the row is skipped, which is no failure. */
export class Missing extends Error {
  override readonly name = 'Missing';
}
