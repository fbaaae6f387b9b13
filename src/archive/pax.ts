import { TareError } from '../base/errors.ts';
import type { ByteString } from './byte-string.ts';

const nameKeys: ReadonlySet<ByteString> = new Set(['path', 'linkpath', 'GNU.sparse.name']);

const invalid = (why: string): TareError => new TareError('invalid', `Cannot read PAX header: ${why}`);

/** GNU tar repeats these two in turn, once for each run of a sparse file (form 0.0). */
const runKeys = ['GNU.sparse.offset', 'GNU.sparse.numbytes'] as const;
const MAP = 'GNU.sparse.map';

/**
 * Parses the body of a PAX extended header: records `LENGTH KEYWORD=VALUE\n`, values of any bytes. A repeated keyword counts the last time; the runs of a
 * sparse file of GNU's form 0.0, where all repetitions count, become the `GNU.sparse.map` of form 0.1.
 *
 * Errors: `invalid` for anything but whole, well-formed records, and a NUL byte in a value that becomes a name.
 */
export function parsePax(body: Buffer): Map<ByteString, ByteString> {
  const records = new Map<ByteString, ByteString>();
  const runs: ByteString[] = [];
  let at = 0;
  while (at < body.length) {
    let length = 0;
    let digits = 0;
    for (; at + digits < body.length && digits < 8; digits++) {
      const digit = (body[at + digits] ?? 0) - 48;
      if (digit < 0 || digit > 9) break;
      length = length * 10 + digit;
    }
    const end = at + length;
    const start = at + digits + 1;
    if (digits === 0 || body[start - 1] !== 0x20) throw invalid('a record without length');
    if (end > body.length || end <= start || body[end - 1] !== 0x0a) throw invalid('a record of wrong length');
    const equals = body.indexOf(0x3d, start);
    if (equals <= start || equals >= end) throw invalid('a record without keyword');
    const key = body.toString('latin1', start, equals);
    const value = body.toString('latin1', equals + 1, end - 1);
    if (nameKeys.has(key) && value.includes('\0')) throw invalid(`a NUL byte in ${key}`);
    at = end;
    const turn = runKeys.indexOf(key as (typeof runKeys)[number]);
    if (turn < 0) records.set(key, value);
    else if (turn === runs.length % 2 && !value.includes(',')) runs.push(value);
    else throw invalid('runs of a sparse file out of order');
  }
  if (runs.length > 0) {
    if (records.has(MAP)) throw invalid('two maps of a sparse file');
    records.set(MAP, runs.join(','));
  }
  return records;
}

/** A PAX body with these records. */
export function formatPax(records: Iterable<readonly [ByteString, ByteString]>): Buffer {
  const parts: Buffer[] = [];
  for (const [key, value] of records) {
    const rest = ` ${key}=${value}\n`;
    let length = rest.length + 1;
    while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
    parts.push(Buffer.from(String(length) + rest, 'latin1'));
  }
  return Buffer.concat(parts);
}

/** A decimal time `[-]S[.FRACTION]` as whole seconds and nanoseconds from 0 to 999,999,999. Errors: `invalid`. */
export function parsePaxTime(text: ByteString): { seconds: number; nanoseconds: number } {
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text);
  if (match === null) throw invalid(`time ${JSON.stringify(text)}`);
  const seconds = Number(match[2]);
  const nanoseconds = Number((match[3] ?? '').padEnd(9, '0').slice(0, 9));
  if (match[1] === '') return { seconds, nanoseconds };
  return nanoseconds === 0
    ? { seconds: 0 - seconds, nanoseconds }
    : { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}

/** A non-negative decimal number. Errors: `invalid`; above 2^53. */
export function parsePaxNumber(key: string, text: ByteString): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(value)) throw invalid(`${key} ${JSON.stringify(text)}`);
  return value;
}
