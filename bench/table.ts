import type { CaseResult, Row } from './measure.ts';

/** The text of one measured case: a line per contender, then skipped ones, failures and goals. Plain text, no colours. */
export function renderCase(result: CaseResult): string {
  const { unit } = result;
  const subject = result.rows.find((row) => row.subject && row.summary !== undefined);
  const comparison = subject === undefined ? [] : [`${shortName(subject)} ÷ it`, `${shortName(subject)} − it`];
  const head = ['', `median ${unit}`, 'p10', 'p90', 'n', ...comparison];
  const body = result.rows.flatMap((row) => {
    if (row.summary === undefined) return [];
    const { median, p10, p90, count } = row.summary;
    const other = subject?.summary === undefined || row === subject ? undefined : subject.summary.median;
    const compared = other === undefined ? ['', ''] : [`${(other / median).toFixed(2)} ×`, signed(other - median)];
    return [[row.name, number(median), number(p10), number(p90), String(count), ...compared]];
  });
  return [
    `${result.name}: ${result.title}`,
    ...(body.length === 0 ? [] : columns([head, ...body])),
    ...result.rows.flatMap((row) => (row.skipped === undefined ? [] : [`  skipped ${row.name}: ${row.skipped}`])),
    ...result.rows.flatMap((row) => (row.failed === undefined ? [] : [`  FAILED ${row.name}: ${row.failed}`])),
    ...result.goals.map(
      ({ text, value, limit, met }) =>
        `  goal ${met ? 'met' : 'MISSED'}: ${text} (${number(value)}; limit ${number(limit)})`,
    ),
    '',
  ].join('\n');
}

/** `tare` for `tare host:`. */
function shortName({ name }: Row): string {
  return name.split(/[ :]/)[0] ?? name;
}

function number(value: number): string {
  return value.toFixed(Math.abs(value) < 10 ? 2 : 1);
}

function signed(value: number): string {
  return (value < 0 ? '−' : '+') + number(Math.abs(value));
}

/** First column to the left, the others to the right, each as wide as its widest cell. */
function columns(lines: readonly (readonly string[])[]): string[] {
  const widths = lines[0]?.map((_, i) => Math.max(...lines.map((line) => (line[i] ?? '').length))) ?? [];
  return lines.map((line) =>
    `  ${line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('   ')}`.trimEnd(),
  );
}
