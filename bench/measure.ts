import { messageOf } from '../src/base/errors.ts';
import { Missing, type Case, type Contender, type Measure } from './case.ts';
import type { Lab } from './lab.ts';
import { Quiet } from './quiet.ts';
import { summarize, type Summary } from './statistics.ts';

/** How often to measure. */
export interface Effort {
  readonly rounds: number;
  /** Rounds before those, thrown away. */
  readonly warmUp: number;
  readonly signal: AbortSignal;
}

/** What became of one contender: samples, or the reason why there are none. */
export interface Row {
  readonly name: string;
  readonly subject: boolean;
  readonly samples: readonly number[];
  readonly summary?: Summary;
  readonly skipped?: string;
  readonly failed?: string;
}

/** A goal held against the medians. */
export interface Verdict {
  readonly text: string;
  readonly value: number;
  readonly limit: number;
  readonly met: boolean;
}

/** One measured case. */
export interface CaseResult {
  readonly name: string;
  readonly title: string;
  readonly unit: Case['unit'];
  readonly rounds: number;
  readonly rows: readonly Row[];
  readonly goals: readonly Verdict[];
}

interface Entry {
  readonly contender: Contender;
  readonly samples: number[];
  measure?: Measure;
  skipped?: string;
  failed?: string;
}

/**
 * Measures a case: every contender in turn, round after round (A B C A B C …, never all of A first), so that a machine that gets slower or
 * faster meanwhile does so for all of them. Before each sample it waits until the one before has left nothing running. Warm-up rounds run the same and are thrown away.
 * Errors: only the signal's reason; a contender that fails becomes a row that says so.
 */
export async function measureCase(subject: Case, lab: Lab, effort: Effort): Promise<CaseResult> {
  const share = subject.share ?? 1;
  const rounds = share === 0 ? 1 : Math.min(effort.rounds, Math.max(3, Math.round(effort.rounds * share)));
  const warmUp = share === 0 ? 0 : share < 1 ? Math.min(1, effort.warmUp) : effort.warmUp;
  const entries: Entry[] = subject.contenders.map((contender) => ({ contender, samples: [] }));
  await using stack = new AsyncDisposableStack();

  for (const entry of entries) {
    effort.signal.throwIfAborted();
    try {
      entry.measure = await entry.contender.prepare(lab, stack);
    } catch (error) {
      if (error instanceof Missing) entry.skipped = error.message;
      else entry.failed = messageOf(error);
    }
  }
  const quiet = await Quiet.now();
  for (let round = -warmUp; round < rounds; round++) {
    for (const entry of entries) {
      effort.signal.throwIfAborted();
      if (entry.measure === undefined) continue;
      await quiet.again();
      try {
        const sample = await entry.measure();
        if (round >= 0) entry.samples.push(...(typeof sample === 'number' ? [sample] : sample));
      } catch (error) {
        entry.failed = messageOf(error);
        delete entry.measure;
      }
    }
  }
  effort.signal.throwIfAborted();

  const rows = entries.map(rowOf);
  return { name: subject.name, title: subject.title, unit: subject.unit, rounds, rows, goals: verdicts(subject, rows) };
}

function rowOf({ contender, samples, skipped, failed }: Entry): Row {
  return {
    name: contender.name,
    subject: contender.subject === true,
    samples,
    ...(samples.length > 0 && failed === undefined ? { summary: summarize(samples) } : {}),
    ...(skipped === undefined ? {} : { skipped }),
    ...(failed === undefined ? {} : { failed }),
  };
}

function verdicts(subject: Case, rows: readonly Row[]): Verdict[] {
  const median = (name: string): number => {
    if (!subject.contenders.some((contender) => contender.name === name)) {
      throw new Error(`Cannot judge case ${subject.name}: it has no contender '${name}'`);
    }
    const summary = rows.find((row) => row.name === name)?.summary;
    if (summary === undefined) throw new Missing(`${name} was not measured`);
    return summary.median;
  };
  return (subject.goals ?? []).flatMap((goal) => {
    try {
      const { value, limit } = goal.holds(median);
      return [{ text: goal.text, value, limit, met: goal.atLeast === true ? value >= limit : value <= limit }];
    } catch (error) {
      if (error instanceof Missing) return [];
      throw error;
    }
  });
}
