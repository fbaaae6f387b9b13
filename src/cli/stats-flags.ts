import type { FlagTable, FlagValues } from './flag-table.ts';
import { compileFormat } from './format.ts';
import { UsageError } from './usage-error.ts';

/** What `stats` of containers and of pods have in common, but for the fields of `--format`. */
export const samplingFlags = {
  'no-stream': { type: 'switch', help: 'Print one sample (over one interval) and leave' },
  'no-trunc': { type: 'switch', help: 'Print ids in full' },
  interval: { type: 'number', short: 'i', value: 'SECONDS', standard: '1', help: 'Time between samples' },
} as const satisfies FlagTable;

type Values = FlagValues<typeof samplingFlags> & { readonly format?: string | undefined };

/** How to sample and print. Errors: UsageError. */
export function samplingOf(values: Values): {
  readonly intervalMs: number;
  /** Absent: a table. */
  readonly format: ReturnType<typeof compileFormat> | undefined;
  readonly once: boolean;
  readonly full: boolean;
} {
  const seconds = values.interval ?? 1;
  if (seconds < 0.1 || seconds > 86_400) throw new UsageError('Cannot use --interval: expected 0.1 to 86400 seconds');
  return {
    intervalMs: seconds * 1000,
    format: values.format === undefined || values.format === 'table' ? undefined : compileFormat(values.format),
    once: values['no-stream'] === true,
    full: values['no-trunc'] === true,
  };
}
