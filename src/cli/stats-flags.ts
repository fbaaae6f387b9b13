import { isTerminal } from '../sys/tty.ts';
import type { FlagTable, FlagValues } from './flag-table.ts';
import { compileFormat } from './format.ts';
import { UsageError } from './usage-error.ts';

/** What `stats` of containers and of pods have in common, but for the fields of `--format`. */
export const samplingFlags = {
  'no-stream': { type: 'switch', help: 'Print one sample (over one interval) and leave' },
  'no-trunc': { type: 'switch', help: 'Print ids in full' },
  'no-reset': { type: 'switch', help: 'On a terminal, too, print one table after the other' },
  interval: { type: 'number', short: 'i', value: 'SECONDS', standard: '1', help: 'Time between samples' },
} as const satisfies FlagTable;

type Values = FlagValues<typeof samplingFlags> & { readonly format?: string | undefined };

/** How to sample and print. Errors: UsageError. */
export function samplingOf(values: Values): {
  readonly intervalMs: number;
  /** Absent: a table. */
  readonly format: ReturnType<typeof compileFormat> | undefined;
  readonly once: boolean;
  /** The table is drawn over the one before. */
  readonly inPlace: boolean;
  readonly full: boolean;
} {
  const seconds = values.interval ?? 1;
  if (seconds < 0.1 || seconds > 86_400) throw new UsageError('Cannot use --interval: expected 0.1 to 86400 seconds');
  const format = values.format === undefined || values.format === 'table' ? undefined : compileFormat(values.format);
  const once = values['no-stream'] === true;
  return {
    intervalMs: seconds * 1000,
    format,
    once,
    inPlace: !once && values['no-reset'] !== true && (format === undefined || format.table) && isTerminal(1),
    full: values['no-trunc'] === true,
  };
}

/** Prints the table of each sample as it is made of it, until `once` or nobody samples any more. */
export async function printSamples<S>(
  print: (text: string) => void,
  samples: AsyncIterable<S>,
  { inPlace, once }: { readonly inPlace: boolean; readonly once: boolean },
  tableOf: (sample: S) => string,
): Promise<void> {
  if (inPlace) print(CLEAR);
  for await (const sample of samples) {
    const text = tableOf(sample);
    print(inPlace ? `${HOME}${text.replaceAll('\n', `${CLEAR_LINE}\n`)}${CLEAR_BELOW}` : text);
    if (once) return;
  }
}

const CLEAR = '\x1b[2J';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';
