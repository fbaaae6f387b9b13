import { UsageError } from './usage-error.ts';

const UNIT: Readonly<Record<string, number>> = {
  '': 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  p: 1024 ** 5,
};

/** Bytes of `512`, `64m`, `1.5g`, `2GiB`, `10kb`: units are powers of 1024, as docker's. Errors: UsageError naming `shown`. */
export function parseSize(shown: string, text: string): number {
  const match = /^([0-9]+(?:\.[0-9]+)?) ?(?:([kmgtp])(?:i?b)?|b)?$/i.exec(text);
  const bytes =
    match === null ? Number.NaN : Math.floor(Number(match[1]) * (UNIT[(match[2] ?? '').toLowerCase()] ?? Number.NaN));
  if (!Number.isSafeInteger(bytes))
    throw new UsageError(`Cannot use ${shown} ${text}: expected a size like 512m or 2g`);
  return bytes;
}

/** A decimal integer that is at least `min`. Errors: UsageError naming `shown`. */
export function parseInteger(shown: string, text: string, min = 0): number {
  const value = /^[+-]?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < min) {
    throw new UsageError(`Cannot use ${shown} ${text}: expected a whole number${min === 0 ? '' : ` from ${min} up`}`);
  }
  return value;
}

/** A decimal number that is not negative. Errors: UsageError naming `shown`. */
export function parseNumber(shown: string, text: string): number {
  const value = /^[0-9]*\.?[0-9]+$|^[0-9]+\.$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isFinite(value)) throw new UsageError(`Cannot use ${shown} ${text}: expected a number like 1.5`);
  return value;
}

/** Whole seconds of `10`, `10s`, `1m30s`, rounded up; `min` -1 also takes -1. Errors: UsageError naming `shown`. */
export function parseSeconds(shown: string, text: string, min = 0): number {
  if (/^[+-]?[0-9]+$/.test(text)) return parseInteger(shown, text, min);
  const ms = durationMs(text);
  if (ms === undefined) throw new UsageError(`Cannot use ${shown} ${text}: expected seconds like 10, or 1m30s`);
  return Math.ceil(ms / 1000);
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds of a duration as Go writes it: `1h30m`, `250ms`, `1.5s`. Undefined when it is none. */
export function durationMs(text: string): number | undefined {
  const parts = text.matchAll(/([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)/g);
  let total = 0;
  let length = 0;
  for (const [whole, amount, unit] of parts) {
    total += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
    length += whole.length;
  }
  return length === 0 || length !== text.length ? undefined : total;
}

/**
 * A point in time: RFC 3339 (the zone may be missing: local time), Unix seconds (`1700000000.5`), or a duration before `nowMs` (`10m`).
 * The result is RFC 3339 in UTC with milliseconds. Errors: UsageError naming `shown`.
 */
export function parseTime(shown: string, text: string, nowMs: number): string {
  const ago = durationMs(text);
  const ms =
    ago !== undefined
      ? nowMs - ago
      : /^[0-9]+(\.[0-9]+)?$/.test(text)
        ? Number(text) * 1000
        : /^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9]{2}:?[0-9]{2})?)?$/.test(text)
          ? Date.parse(/^[0-9-]{10}$/.test(text) ? `${text}T00:00:00` : text.replace(/(\.[0-9]{3})[0-9]+/, '$1'))
          : Number.NaN;
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) {
    throw new UsageError(
      `Cannot use ${shown} ${text}: expected a time like 2026-01-02T15:04:05Z, Unix seconds or a duration like 10m`,
    );
  }
  return new Date(ms).toISOString();
}

/** `KEY=VALUE`; `shown` is the flag. Errors: UsageError. */
export function keyValue(shown: string, text: string): [string, string] {
  const equals = text.indexOf('=');
  if (equals < 1) throw new UsageError(`Cannot use ${shown} ${text}: expected key=value`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}
