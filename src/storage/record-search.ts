import { closeSync, openSync, readSync } from 'node:fs';
import { ifPresent } from '../base/if-present.ts';
import { isId, type RawRecord, type Row } from './record.ts';

/** Between two records, as Go and we write them. Inside a string a quote has a backslash before it, so this is never part of one. */
const BETWEEN = Buffer.from('},{"id":"');
const FIRST = Buffer.from('[{"id":"');

/**
 * The records of a file with a JSON list that have `needle` (text as it is inside a JSON string) in them, each parsed by itself; undefined when the list is not written the
 * usual way. A file that is not there has none. It is read piece by piece through a small buffer: a megabyte takes under a millisecond, where reading it whole takes two and
 * parsing it five.
 */
export function recordsMentioning(path: string, needle: string, volatile: boolean): Row[] | undefined {
  const fd = ifPresent(() => openSync(path, 'r'));
  if (fd === undefined) return [];
  const text = Buffer.from(needle);
  const rows: Row[] = [];
  let buffer = (shared ??= Buffer.allocUnsafe(PIECE_BYTES));
  try {
    for (let kept = 0, read = 0, first = true; ; first = false) {
      if (kept >= MAX_RECORD_BYTES || read > MAX_LIST_BYTES) return undefined;
      // A record that is longer than the buffer.
      if (kept === buffer.length) buffer = Buffer.concat([buffer], 2 * kept);
      const count = readSync(fd, buffer, kept, buffer.length - kept, null);
      read += count;
      const bytes = buffer.subarray(0, kept + count);
      if (first && isEmptyList(bytes)) return [];
      if (first && bytes.indexOf(FIRST) !== 0) return undefined;
      if (count === 0 && bytes.at(-1) !== CLOSING) return undefined;
      // What follows the last whole record waits for its rest.
      const end = count === 0 ? bytes.length - 1 : bytes.lastIndexOf(BETWEEN) + 1;
      const begin = first ? 1 : 0;
      const found = within(bytes.subarray(begin, Math.max(begin, end)), text, volatile);
      if (found === undefined) return undefined;
      rows.push(...found);
      if (count === 0) return rows;
      const rest = end === 0 ? begin : end + 1;
      kept = bytes.length - rest;
      buffer.copyWithin(0, rest, bytes.length);
    }
  } finally {
    closeSync(fd);
  }
}

/** Used again: nothing here waits. */
let shared: Buffer | undefined;

const CLOSING = 0x5d;
const PIECE_BYTES = 128 * 1024;
/** A store of a hundred thousand images would be smaller. */
export const MAX_LIST_BYTES = 512 * 1024 * 1024;
/** Whoever parses the whole list says what is wrong with it. */
const MAX_RECORD_BYTES = 32 * 1024 * 1024;

function isEmptyList(bytes: Buffer): boolean {
  return bytes.length === 0 || ['null', '[]'].includes(bytes.toString('latin1', 0, 5));
}

/** Of records with commas between them. */
function within(bytes: Buffer, needle: Buffer, volatile: boolean): Row[] | undefined {
  const rows: Row[] = [];
  for (let from = 0; from < bytes.length;) {
    const at = bytes.indexOf(needle, from);
    if (at < 0) break;
    const before = bytes.lastIndexOf(BETWEEN, at);
    const begin = before < 0 ? 0 : before + 2;
    const after = bytes.indexOf(BETWEEN, begin);
    const end = after < 0 ? bytes.length : after + 1;
    const row = parseRecord(bytes.toString('utf8', begin, end), volatile);
    if (row === undefined) return undefined;
    rows.push(row);
    // Behind this record, whatever was looked for: so it comes to an end.
    from = end + 1;
  }
  return rows;
}

function parseRecord(json: string, volatile: boolean): Row | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof raw !== 'object' || raw === null) return undefined;
  const { id } = raw as RawRecord;
  return isId(id) ? { id, raw: raw as RawRecord, volatile } : undefined;
}
