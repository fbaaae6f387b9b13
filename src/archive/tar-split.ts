import { TareError } from '../base/errors.ts';
import { type ByteString, isUtf8, utf8Of } from './byte-string.ts';
import { Crc64 } from './crc64.ts';

/** One line of a tar-split file: what is needed besides the unpacked files to rebuild the tar, byte for byte. */
export type TarSplitEntry =
  /** Contents of a file come here. `crc` (CRC-64/ISO, 8 bytes big endian) when `sizeBytes` is not 0. */
  | { readonly kind: 'file'; readonly name: ByteString; readonly sizeBytes: number; readonly crc: Buffer | undefined }
  /** These bytes come here: headers, padding, the end of the archive. */
  | { readonly kind: 'segment'; readonly bytes: Buffer };

const MAX_SEGMENT_BYTES = 64 * 1024;
/** No line of ours is longer; others write a segment in one piece. */
const MAX_LINE_CHARS = 64 * 1024 * 1024;

/**
 * Writes the JSON lines of tar-split (github.com/vbatts/tar-split, as containers/storage keeps in `ID.tar-split.gz`): type 1 a file, type 2 a
 * raw segment. CRCs may come later than their files, in the same order: lines after a missing one wait.
 */
export class TarSplitWriter {
  #segment: Buffer = Buffer.allocUnsafe(8192);
  #length = 0;
  #position = 0;
  #lines: string[] = [];
  /** Lines that lack their CRC, oldest first. */
  #waiting: number[] = [];

  /** Bytes `start` to `end` are no file contents. */
  raw(bytes: Buffer, start: number, end: number): void {
    while (start < end) {
      const length = Math.min(end - start, MAX_SEGMENT_BYTES - this.#length);
      if (this.#length + length > this.#segment.length) {
        const grown = Buffer.allocUnsafe(MAX_SEGMENT_BYTES);
        this.#segment.copy(grown, 0, 0, this.#length);
        this.#segment = grown;
      }
      bytes.copy(this.#segment, this.#length, start, start + length);
      this.#length += length;
      start += length;
      if (this.#length === MAX_SEGMENT_BYTES) this.#endSegment();
    }
  }

  /** A file begins here. With contents, `crc` must follow sooner or later. */
  file(name: ByteString, sizeBytes: number): void {
    this.#endSegment();
    const named = isUtf8(name)
      ? `"name":${JSON.stringify(utf8Of(name))}`
      : `"name_raw":"${Buffer.from(name, 'latin1').toString('base64')}"`;
    const position = this.#position++;
    if (sizeBytes === 0) {
      this.#lines.push(`{"type":1,${named},"payload":null,"position":${position}}\n`);
      return;
    }
    this.#waiting.push(this.#lines.length);
    this.#lines.push(`{"type":1,${named},"size":${sizeBytes},"position":${position},"payload":`);
  }

  /** The CRC of the oldest file that lacks one: 8 bytes at `offset`. */
  crc(bytes: Buffer, offset: number): void {
    const line = this.#waiting.shift();
    if (line === undefined) throw new TareError('internal', 'Cannot write tar-split: a CRC without file');
    this.#lines[line] += `"${bytes.toString('base64', offset, offset + 8)}"}\n`;
  }

  /** Takes the lines that are complete so far; '' for none. */
  take(): string {
    const count = this.#waiting[0] ?? this.#lines.length;
    if (count === 0) return '';
    const text = this.#lines.splice(0, count).join('');
    for (let i = 0; i < this.#waiting.length; i++) this.#waiting[i] = (this.#waiting[i] ?? 0) - count;
    return text;
  }

  /** The rest. Errors: `internal` when a CRC is missing. */
  finish(): string {
    this.#endSegment();
    if (this.#waiting.length > 0)
      throw new TareError('internal', `Cannot write tar-split: ${this.#waiting.length} files without CRC`);
    return this.take();
  }

  #endSegment(): void {
    if (this.#length === 0) return;
    this.#lines.push(
      `{"type":2,"payload":"${this.#segment.toString('base64', 0, this.#length)}","position":${this.#position++}}\n`,
    );
    this.#length = 0;
  }
}

/** Parses one line. Errors: `invalid`. */
export function parseTarSplitLine(line: string): TarSplitEntry {
  const json = parseObject(line);
  const payload = typeof json['payload'] === 'string' ? Buffer.from(json['payload'], 'base64') : undefined;
  if (json['type'] === 2) return { kind: 'segment', bytes: payload ?? Buffer.alloc(0) };
  const raw = json['name_raw'];
  const name =
    typeof raw === 'string'
      ? Buffer.from(raw, 'base64').toString('latin1')
      : typeof json['name'] === 'string'
        ? Buffer.from(json['name']).toString('latin1')
        : undefined;
  const sizeBytes = json['size'] ?? 0;
  if (
    json['type'] !== 1 ||
    name === undefined ||
    typeof sizeBytes !== 'number' ||
    !Number.isSafeInteger(sizeBytes) ||
    sizeBytes < 0
  ) {
    throw new TareError('invalid', 'Cannot read tar-split: a line is of no known form');
  }
  if (sizeBytes > 0 && payload?.length !== 8)
    throw new TareError('invalid', 'Cannot read tar-split: a file without its CRC');
  return { kind: 'file', name, sizeBytes, crc: sizeBytes > 0 ? payload : undefined };
}

function parseObject(line: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(line);
    if (typeof json === 'object' && json !== null) return json as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new TareError('invalid', 'Cannot read tar-split: a line is no JSON object');
}

/** Parses uncompressed tar-split text that comes in chunks. Errors: `invalid`. */
export async function* readTarSplit(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<TarSplitEntry> {
  const decoder = new TextDecoder();
  /** Pieces of a line whose end has not come: joined once, however long it is. */
  let pieces: string[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    const text = decoder.decode(chunk, { stream: true });
    const end = text.lastIndexOf('\n');
    if (end >= 0) {
      pieces.push(text.slice(0, end));
      for (const line of pieces.join('').split('\n')) if (line !== '') yield parseTarSplitLine(line);
      pieces = [];
      length = 0;
    }
    pieces.push(text.slice(end + 1));
    length += text.length - (end + 1);
    if (length > MAX_LINE_CHARS) throw new TareError('invalid', 'Cannot read tar-split: a line has no end');
  }
  const rest = pieces.join('') + decoder.decode();
  if (rest.trim() !== '') yield parseTarSplitLine(rest);
}

/**
 * Rebuilds the tar, byte for byte. `open` gives the contents of a file by its name in the archive. Without `checkCrc` only the files' sizes are looked at: for a caller
 * that checks the digest of the whole.
 *
 * Errors: `failed-precondition` when a file is not what it was; what `open` throws.
 */
export async function* joinTarSplit(
  entries: AsyncIterable<TarSplitEntry> | Iterable<TarSplitEntry>,
  open: (name: ByteString, sizeBytes: number) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { checkCrc = true }: { readonly checkCrc?: boolean } = {},
): AsyncGenerator<Uint8Array> {
  for await (const entry of entries) {
    if (entry.kind === 'segment') {
      yield entry.bytes;
      continue;
    }
    if (entry.sizeBytes === 0) continue;
    const crc = new Crc64();
    let left = entry.sizeBytes;
    const changed = (): TareError =>
      new TareError('failed-precondition', `Cannot rebuild tar: ${JSON.stringify(utf8Of(entry.name))} was changed`);
    for await (const chunk of open(entry.name, entry.sizeBytes)) {
      left -= chunk.length;
      if (left < 0) throw changed();
      if (checkCrc) crc.update(chunk);
      yield chunk;
    }
    if (left !== 0 || (checkCrc && entry.crc !== undefined && !entry.crc.equals(crc.digest()))) throw changed();
  }
}
