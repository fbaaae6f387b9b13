import { TareError } from '../base/errors.ts';
import { type ByteString, MAX_PATH_BYTES, utf8Of } from './byte-string.ts';
import { checkRuns, oldSparse, paxSparse, type SparseBlocks, type SparseFile, type SparseRun } from './gnu-sparse.ts';
import { parsePax, parsePaxNumber, parsePaxTime } from './pax.ts';
import { BLOCK_BYTES, isZeroBlock, readHeader, type TarHeader } from './tar-header.ts';

/** What an entry is. */
export type TarKind = 'file' | 'link' | 'symlink' | 'char' | 'block' | 'dir' | 'fifo';

/**
 * An entry of an archive, all of its headers taken together. One object serves the whole archive: what outlives the call must be copied.
 */
export interface TarEntry {
  kind: TarKind;
  /** As written, not cleaned: see `cleanPath`. */
  path: ByteString;
  linkPath: ByteString;
  /** Permission bits, set-id and sticky included. */
  mode: number;
  uid: number;
  gid: number;
  /** 0 for everything but files; with its holes for a sparse one. */
  sizeBytes: number;
  /** A file with holes: not all of its bytes come as data. */
  isSparse: boolean;
  mtimeSeconds: number;
  mtimeNanoseconds: number;
  major: number;
  minor: number;
  /** From `SCHILY.xattr.*` records: name and value. */
  xattrs: (readonly [ByteString, ByteString])[];
}

/** Receives an archive in order. Ranges point into the caller's chunk and are only valid during the call. */
export interface TarSink {
  /** Bytes that are no file contents: headers, padding, everything after the end mark. In order, each byte once. */
  raw?(bytes: Buffer, start: number, end: number): void;
  entry(entry: TarEntry): void;
  /** Contents of the current file. */
  data(bytes: Buffer, start: number, end: number): void;
  /** The next `sizeBytes` of the current file are zeros that the archive does not hold. To a sink without it, sparse files are unsupported. */
  hole?(sizeBytes: number): void;
  /** The current entry is complete. */
  endEntry(): void;
}

export interface TarLimits {
  readonly maxEntries?: number;
}

const kinds: Readonly<Record<string, TarKind>> = {
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'dir',
  '6': 'fifo',
};
/** What one extended header may hold, as in Go's reader. */
const MAX_META_BYTES = 1024 * 1024;
const MAX_ENTRIES = 4_000_000;
/** The kernel's own limit of one attribute. */
const MAX_XATTR_BYTES = 65536;
const MAX_ID = 0xfffffffe;
const EMPTY: (readonly [ByteString, ByteString])[] = [];

const refuse = (why: string): TareError => new TareError('invalid', `Cannot read tar archive: ${why}`);

/**
 * Push parser of tar archives: ustar, pre-ustar, GNU long names and base-256 numbers, PAX, GNU's four forms of sparse files. Memory is bounded: no file is
 * held, extended headers and sparse maps are at most 1 MiB.
 *
 * It is strict where two readers might see different archives: a PAX `x` header applies to the next real entry only and always overrides; two of
 * them, or a name given both by PAX and by GNU, are refused unless equal; a global header may not change names or sizes and, as in all Go tools, is otherwise
 * ignored; a sparse map has to fit what is stored exactly; multi-volume archives and unknown types are refused. Sizes of what has no contents (links,
 * directories, devices) are ignored, as in all Go tools.
 */
export class TarReader {
  readonly #sink: TarSink;
  readonly #maxEntries: number;
  readonly #header: TarHeader = {
    type: '',
    name: '',
    linkName: '',
    mode: 0,
    uid: 0,
    gid: 0,
    sizeBytes: 0,
    mtimeSeconds: 0,
    major: 0,
    minor: 0,
    isOld: false,
    isGnu: false,
  };
  readonly #entry: TarEntry = {
    kind: 'file',
    path: '',
    linkPath: '',
    mode: 0,
    uid: 0,
    gid: 0,
    sizeBytes: 0,
    isSparse: false,
    mtimeSeconds: 0,
    mtimeNanoseconds: 0,
    major: 0,
    minor: 0,
    xattrs: EMPTY,
  };
  #state: 'header' | 'meta' | 'map' | 'data' | 'padding' | 'trailer' = 'header';
  /** A header that came in pieces. */
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #have = 0;
  /** Bytes of the current body that are still to come, and its padding. */
  #left = 0;
  #padding = 0;
  #meta: Buffer | undefined;
  #metaType = '';
  #inEntry = false;
  #sparse: OpenSparse | undefined;
  #sawZeroBlock = false;
  #entries = 0;
  #pax: Map<ByteString, ByteString> | undefined;
  #longName: ByteString | undefined;
  #longLink: ByteString | undefined;

  constructor(sink: TarSink, limits: TarLimits = {}) {
    this.#sink = sink;
    this.#maxEntries = limits.maxEntries ?? MAX_ENTRIES;
  }

  /** The next bytes of the archive. Errors: `invalid`, `unsupported`, `exhausted` past `maxEntries`; what the sink throws. The reader is then of no more use. */
  write(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'header' || this.#state === 'map') at = this.#readBlock(chunk, at);
      else if (this.#state === 'trailer') {
        this.#sink.raw?.(chunk, at, chunk.length);
        return;
      } else at = this.#readBody(chunk, at);
    }
  }

  /** No more bytes. Errors: `invalid` when the archive is cut short. */
  end(): void {
    const between = this.#state === 'trailer' || (this.#state === 'header' && this.#have === 0);
    if (!between || this.#pax !== undefined || this.#longName !== undefined || this.#longLink !== undefined) {
      throw refuse('it ends in the middle of an entry');
    }
  }

  #readBlock(chunk: Buffer, at: number): number {
    if (this.#have === 0 && chunk.length - at >= BLOCK_BYTES) {
      this.#sink.raw?.(chunk, at, at + BLOCK_BYTES);
      this.#onBlock(chunk, at);
      return at + BLOCK_BYTES;
    }
    const length = Math.min(BLOCK_BYTES - this.#have, chunk.length - at);
    chunk.copy(this.#block, this.#have, at, at + length);
    this.#sink.raw?.(chunk, at, at + length);
    this.#have += length;
    if (this.#have === BLOCK_BYTES) {
      this.#have = 0;
      this.#onBlock(this.#block, 0);
    }
    return at + length;
  }

  #readBody(chunk: Buffer, at: number): number {
    if (this.#state === 'padding') {
      const length = Math.min(this.#padding, chunk.length - at);
      this.#sink.raw?.(chunk, at, at + length);
      this.#padding -= length;
      if (this.#padding === 0) this.#state = 'header';
      return at + length;
    }
    const length = Math.min(this.#left, chunk.length - at);
    if (this.#state === 'meta') {
      this.#sink.raw?.(chunk, at, at + length);
      const meta = this.#meta as Buffer; // set with the state
      chunk.copy(meta, meta.length - this.#left, at, at + length);
    } else if (this.#sparse !== undefined) this.#sparseData(this.#sparse, chunk, at, at + length);
    else this.#sink.data(chunk, at, at + length);
    this.#left -= length;
    if (this.#left === 0) this.#endBody();
    return at + length;
  }

  #endBody(): void {
    if (this.#inEntry) {
      this.#inEntry = false;
      if (this.#sparse !== undefined) this.#endSparse(this.#sparse);
      this.#sink.endEntry();
    } else this.#onMeta();
    this.#state = this.#padding > 0 ? 'padding' : 'header';
  }

  #startBody(state: 'meta' | 'data', sizeBytes: number): void {
    this.#left = sizeBytes;
    this.#padding = (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES;
    this.#state = state;
    if (sizeBytes === 0) this.#endBody();
  }

  #onBlock(block: Buffer, at: number): void {
    if (this.#state === 'map') return this.#onMapBlock(block, at);
    if (block[at] === 0 && isZeroBlock(block, at)) {
      if (this.#pax !== undefined || this.#longName !== undefined || this.#longLink !== undefined)
        throw refuse('an extended header without entry');
      if (this.#sawZeroBlock) this.#state = 'trailer';
      this.#sawZeroBlock = true;
      return;
    }
    if (this.#sawZeroBlock) throw refuse('a single zero block between entries');
    const header = this.#header;
    readHeader(block, at, header);
    if (header.type === 'x' || header.type === 'g' || header.type === 'L' || header.type === 'K') {
      if (header.sizeBytes > MAX_META_BYTES) throw refuse(`an extended header of ${header.sizeBytes} bytes`);
      this.#metaType = header.type;
      this.#meta = Buffer.allocUnsafe(header.sizeBytes);
      this.#startBody('meta', header.sizeBytes);
      return;
    }
    if (++this.#entries > this.#maxEntries)
      throw new TareError('exhausted', `Cannot read tar archive: more than ${this.#maxEntries} entries`);
    this.#onEntry(header, block, at);
  }

  #onMeta(): void {
    const meta = this.#meta as Buffer; // set when the header was read
    this.#meta = undefined;
    if (this.#metaType === 'x') {
      if (this.#pax !== undefined) throw refuse('two PAX headers for one entry');
      this.#pax = parsePax(meta);
    } else if (this.#metaType === 'g') {
      for (const key of parsePax(meta).keys()) {
        if (key === 'path' || key === 'linkpath' || key === 'size' || key.startsWith('GNU.sparse.'))
          throw refuse(`a global PAX header sets ${key}`);
      }
    } else {
      const nul = meta.indexOf(0);
      const name = meta.toString('latin1', 0, nul < 0 ? meta.length : nul);
      if (this.#metaType === 'L') {
        if (this.#longName !== undefined) throw refuse('two long names for one entry');
        this.#longName = name;
      } else {
        if (this.#longLink !== undefined) throw refuse('two long link names for one entry');
        this.#longLink = name;
      }
    }
  }

  #onEntry(header: TarHeader, block: Buffer, at: number): void {
    const entry = this.#entry;
    const kind = kinds[header.type];
    if (kind === undefined)
      throw new TareError(
        'unsupported',
        `Cannot read tar archive: entry type ${JSON.stringify(header.type)} of ${JSON.stringify(utf8Of(header.name))}`,
      );
    entry.kind = kind;
    entry.path = header.name;
    entry.linkPath = header.linkName;
    entry.mode = header.mode & 0o7777;
    entry.uid = header.uid;
    entry.gid = header.gid;
    entry.sizeBytes = header.sizeBytes;
    entry.isSparse = false;
    entry.mtimeSeconds = header.mtimeSeconds;
    entry.mtimeNanoseconds = 0;
    entry.major = header.major;
    entry.minor = header.minor;
    entry.xattrs = EMPTY;
    const sparse = this.#sparseOf(header, block, at);
    if (this.#pax !== undefined) applyPax(entry, this.#pax);
    if (sparse?.name !== undefined) entry.path = sparse.name;
    entry.path = this.#longer(entry.path, this.#longName, sparse?.name === undefined ? 'path' : 'GNU.sparse.name');
    entry.linkPath = this.#longer(entry.linkPath, this.#longLink, 'linkpath');
    this.#pax = this.#longName = this.#longLink = undefined;
    checkEntry(entry);
    if (entry.kind === 'file' && header.isOld && entry.path.endsWith('/')) entry.kind = 'dir';
    if (sparse !== undefined) return this.#startSparse(sparse);
    if (entry.kind !== 'file') entry.sizeBytes = 0;
    this.#sink.entry(entry);
    this.#inEntry = true;
    this.#startBody('data', entry.sizeBytes);
  }

  #sparseOf(header: TarHeader, block: Buffer, at: number): SparseFile | undefined {
    const pax = this.#pax && paxSparse(this.#pax);
    if (header.type !== 'S' && pax === undefined) return undefined;
    if (this.#sink.hole === undefined)
      throw new TareError('unsupported', 'Cannot read tar archive: it holds a sparse file');
    if (header.type !== 'S') return pax;
    if (pax !== undefined || !header.isGnu) throw refuse('a sparse file of two forms');
    return oldSparse(block, at);
  }

  #startSparse(file: SparseFile): void {
    const { map } = file;
    if (this.#entry.kind !== 'file') throw refuse(`a sparse ${this.#entry.kind}`);
    this.#left = this.#entry.sizeBytes;
    this.#padding = (BLOCK_BYTES - (this.#left % BLOCK_BYTES)) % BLOCK_BYTES;
    const isList = 'length' in map;
    this.#sparse = { file, blocks: isList ? undefined : map, runs: isList ? map : map.runs, run: 0, position: 0 };
    if (isList) this.#startRuns(this.#sparse);
    else this.#state = 'map';
  }

  #onMapBlock(block: Buffer, at: number): void {
    const sparse = this.#sparse as OpenSparse; // set with the state
    const blocks = sparse.blocks as SparseBlocks; // set with the state
    if (blocks.inContents) {
      this.#left -= BLOCK_BYTES;
      if (this.#left < 0) throw refuse('a sparse file that ends within its map');
    }
    if (blocks.add(block, at)) this.#startRuns(sparse);
  }

  /** The map is known, so the entry is. */
  #startRuns(sparse: OpenSparse): void {
    const entry = this.#entry;
    checkRuns(sparse.runs, sparse.file.sizeBytes, this.#left);
    entry.isSparse = true;
    entry.sizeBytes = sparse.file.sizeBytes;
    this.#sink.entry(entry);
    this.#inEntry = true;
    this.#state = 'data';
    if (this.#left === 0) this.#endBody();
  }

  /** Stored bytes, cut where holes come between them. */
  #sparseData(sparse: OpenSparse, chunk: Buffer, start: number, end: number): void {
    while (start < end) {
      const run = sparse.runs[sparse.run] as SparseRun; // the runs are as long as what is stored
      if (sparse.position < run.offset) this.#hole(sparse, run.offset);
      const left = run.offset + run.sizeBytes - sparse.position;
      if (left === 0) {
        sparse.run++;
        continue;
      }
      const length = Math.min(left, end - start);
      this.#sink.data(chunk, start, start + length);
      sparse.position += length;
      start += length;
    }
  }

  #endSparse(sparse: OpenSparse): void {
    if (sparse.position < sparse.file.sizeBytes) this.#hole(sparse, sparse.file.sizeBytes);
    this.#sparse = undefined;
  }

  #hole(sparse: OpenSparse, end: number): void {
    this.#sink.hole?.(end - sparse.position);
    sparse.position = end;
  }

  #longer(current: ByteString, long: ByteString | undefined, key: string): ByteString {
    if (long === undefined) return current;
    const pax = this.#pax?.get(key);
    if (pax !== undefined && pax !== '' && pax !== long) throw refuse('two different long names for one entry');
    return long;
  }
}

/** A sparse file whose contents are being read. */
interface OpenSparse {
  readonly file: SparseFile;
  /** Where the map comes from, when it has blocks of its own. */
  readonly blocks: SparseBlocks | undefined;
  readonly runs: readonly SparseRun[];
  /** The current run, and the place in the file. */
  run: number;
  position: number;
}

/** An empty value takes the record back: the header's own value counts. */
function applyPax(entry: TarEntry, records: Map<ByteString, ByteString>): void {
  for (const [key, value] of records) {
    if (key.startsWith('SCHILY.xattr.')) {
      const name = key.slice(13);
      if (name.length === 0 || name.length > 255 || name.includes('\0'))
        throw refuse(`an attribute with a name of ${name.length} bytes`);
      if (value.length > MAX_XATTR_BYTES) throw refuse(`an attribute of ${value.length} bytes`);
      if (entry.xattrs === EMPTY) entry.xattrs = [];
      entry.xattrs.push([name, value]);
      continue;
    }
    if (value === '') continue;
    if (key === 'path') entry.path = value;
    else if (key === 'linkpath') entry.linkPath = value;
    else if (key === 'size') entry.sizeBytes = parsePaxNumber(key, value);
    else if (key === 'uid') entry.uid = parsePaxNumber(key, value);
    else if (key === 'gid') entry.gid = parsePaxNumber(key, value);
    else if (key === 'mtime') {
      const { seconds, nanoseconds } = parsePaxTime(value);
      entry.mtimeSeconds = seconds;
      entry.mtimeNanoseconds = nanoseconds;
    }
  }
}

function checkEntry(entry: TarEntry): void {
  if (entry.path === '') throw refuse('an entry without name');
  if (entry.path.length > MAX_PATH_BYTES || entry.linkPath.length > MAX_PATH_BYTES)
    throw refuse(`a name of more than ${MAX_PATH_BYTES} bytes`);
  if (entry.uid < 0 || entry.uid > MAX_ID || entry.gid < 0 || entry.gid > MAX_ID)
    throw refuse(`owner ${entry.uid}:${entry.gid} of ${JSON.stringify(utf8Of(entry.path))} is out of range`);
  if ((entry.kind === 'link' || entry.kind === 'symlink') && entry.linkPath === '')
    throw refuse(`link ${JSON.stringify(utf8Of(entry.path))} without target`);
  if (entry.major < 0 || entry.major > 0xfff || entry.minor < 0 || entry.minor > 0xfffff)
    throw refuse('a device number is out of range');
}
