import { closeSync, openSync, readSync } from 'node:fs';
import { ifPresent } from './_file.ts';
import { isId, type RawRecord, type Row } from './record.ts';

/** Between two records, as Go and we write them. Inside a string a quote has a backslash before it, so this is never part of one. */
const BETWEEN = Buffer.from('},{"id":"');
const FIRST = Buffer.from('[{"id":"');

/**
 * The records of a JSON list that have `needle` (text as it is inside a JSON string) in them, each parsed by itself; undefined when the list is not written the usual
 * way. Reads a megabyte in well under a millisecond, where parsing it takes five.
 */
export function recordsMentioning(bytes: Buffer, needle: string, volatile: boolean): Row[] | undefined {
  if (bytes.length === 0 || bytes.toString('latin1', 0, 4) === 'null' || bytes.equals(Buffer.from('[]'))) return [];
  if (bytes.indexOf(FIRST) !== 0 || bytes.at(-1) !== 0x5d) return undefined;
  const rows: Row[] = [];
  const text = Buffer.from(needle);
  const last = bytes.length - 1;
  for (let from = 1; from < last;) {
    const at = bytes.indexOf(text, from);
    if (at < 0 || at >= last) break;
    const before = bytes.lastIndexOf(BETWEEN, at);
    const begin = before < 0 ? 1 : before + 2;
    const after = bytes.indexOf(BETWEEN, begin);
    const end = after < 0 ? last : after + 1;
    const row = parseRecord(bytes.toString('utf8', begin, end), volatile);
    if (row === undefined) return undefined;
    rows.push(row);
    // Behind this record, whatever was looked for: so it comes to an end.
    from = end + 1;
  }
  return rows;
}

const PIECE_BYTES = 128 * 1024;

/** Whether a file has `needle` in it; one that is not there has not. Reads it piece by piece through a small buffer, several times as fast as a megabyte in one. */
export function fileMentions(path: string, needle: string): boolean {
  const fd = ifPresent(() => openSync(path, 'r'));
  if (fd === undefined) return false;
  const text = Buffer.from(needle);
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  try {
    for (let kept = 0; ;) {
      const count = readSync(fd, buffer, kept, PIECE_BYTES - kept, null);
      if (count === 0) return false;
      const end = kept + count;
      if (buffer.subarray(0, end).includes(text)) return true;
      // It may begin in this piece and end in the next.
      kept = Math.min(end, text.length - 1);
      buffer.copyWithin(0, end - kept, end);
    }
  } finally {
    closeSync(fd);
  }
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
