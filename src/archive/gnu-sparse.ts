import { TareError } from '../base/errors.ts';
import type { ByteString } from './byte-string.ts';
import { parsePaxNumber } from './pax.ts';
import { BLOCK_BYTES, readNumber } from './tar-header.ts';

/** A stretch of a sparse file that the archive holds; what no run covers is zeros. */
export interface SparseRun {
  readonly offset: number;
  readonly sizeBytes: number;
}

/** The map of a sparse file that comes in blocks of its own. */
export interface SparseBlocks {
  readonly runs: readonly SparseRun[];
  /** The blocks are part of the entry's contents (form 1.0), not of its header (old GNU). */
  readonly inContents: boolean;
  /** Takes the next block; true when it was the last. Errors: `invalid`. */
  add(block: Buffer, at: number): boolean;
}

/** What a header says of its file's holes. */
export interface SparseFile {
  readonly name: ByteString | undefined;
  /** Of the file with its holes. */
  readonly sizeBytes: number;
  /** The whole map, or where it will come from. */
  readonly map: readonly SparseRun[] | SparseBlocks;
}

/** What any form of map may take, as other extended headers (a huge one: CVE-2025-58183). */
const MAX_MAP_BYTES = 1024 * 1024;
const MAX_MAP_BLOCKS = MAX_MAP_BYTES / BLOCK_BYTES;
const RUN_BYTES = 24;

const refuse = (why: string): TareError => new TareError('invalid', `Cannot read tar archive: a sparse file ${why}`);

/**
 * Reads what PAX records say of a sparse file, as GNU tar writes them: forms 0.0 and 0.1 with the map in the header, 1.0 with the map in front of the contents.
 * Undefined: not sparse.
 *
 * Errors: `unsupported` for another form; `invalid` for records that contradict each other.
 */
export function paxSparse(records: ReadonlyMap<ByteString, ByteString>): SparseFile | undefined {
  const of = (key: string): ByteString | undefined => records.get(`GNU.sparse.${key}`) || undefined;
  if (!hasSparseKey(records)) return undefined;
  const form = `${of('major') ?? '0'}.${of('minor') ?? (of('major') === undefined ? '1' : '')}`;
  if (!['0.0', '0.1', '1.0'].includes(form))
    throw new TareError('unsupported', `Cannot read tar archive: a sparse file of form ${JSON.stringify(form)}`);
  const [size, realSize] = [of('size'), of('realsize')];
  const text = size ?? realSize;
  if (text === undefined) throw refuse('without its size');
  if (realSize !== undefined && realSize !== text) throw refuse('of two sizes');
  const sizeBytes = parsePaxNumber('GNU.sparse.size', text);
  const listed = of('map');
  if (form === '1.0') {
    if (listed !== undefined) throw refuse('with two maps');
    return { name: of('name'), sizeBytes, map: new ContentsMap() };
  }
  if (listed === undefined) throw refuse('without a map');
  const numbers = listed.split(',').map((number) => parsePaxNumber('GNU.sparse.map', number));
  const count = of('numblocks');
  if (numbers.length % 2 !== 0 || (count !== undefined && parsePaxNumber('numblocks', count) * 2 !== numbers.length))
    throw refuse('with a map of the wrong length');
  return { name: of('name'), sizeBytes, map: pairs(numbers) };
}

function hasSparseKey(records: ReadonlyMap<ByteString, ByteString>): boolean {
  for (const key of records.keys()) if (key.startsWith('GNU.sparse.')) return true;
  return false;
}

/** Reads the header block of an entry of GNU's old type S. Errors: `invalid`. */
export function oldSparse(block: Buffer, at: number): SparseFile {
  const runs: SparseRun[] = [];
  readRuns(block, at + 386, 4, runs);
  const more = block[at + 482] !== 0;
  return {
    name: undefined,
    sizeBytes: readNumber(block, at + 483, 12, 'size of a sparse file'),
    map: more ? new HeaderMap(runs) : runs,
  };
}

/**
 * Checks that the runs ascend without overlap, end within the file and are together what the archive holds of it: else two readers could go on at different places.
 *
 * Errors: `invalid`.
 */
export function checkRuns(runs: readonly SparseRun[], sizeBytes: number, storedBytes: number): void {
  let end = 0;
  let stored = 0;
  for (const run of runs) {
    if (run.offset < end || run.sizeBytes < 0) throw refuse('with runs out of order');
    end = run.offset + run.sizeBytes;
    stored += run.sizeBytes;
    if (!Number.isSafeInteger(end) || end > sizeBytes) throw refuse('with a run behind its end');
  }
  if (stored !== storedBytes) throw refuse(`of ${storedBytes} bytes whose map has ${stored}`);
}

/** Form 1.0: decimal numbers, one a line, how many runs and then offset and size of each, in whole blocks. */
class ContentsMap implements SparseBlocks {
  readonly inContents = true;
  readonly runs: SparseRun[] = [];
  #blocks = 0;
  /** The digits of a number that is not complete. */
  #digits = '';
  #count: number | undefined;
  #offset: number | undefined;

  add(block: Buffer, at: number): boolean {
    if (++this.#blocks > MAX_MAP_BLOCKS) throw refuse(`with a map of more than ${MAX_MAP_BYTES} bytes`);
    for (let i = at; i < at + BLOCK_BYTES && !this.#done(); i++) {
      const char = block[i] as number; // within the block
      if (char !== 0x0a) {
        this.#digits += String.fromCharCode(char);
        if (this.#digits.length > 16) throw refuse('with a map of other than numbers');
        continue;
      }
      this.#add(parsePaxNumber('sparse map', this.#digits));
      this.#digits = '';
    }
    return this.#done();
  }

  #add(number: number): void {
    if (this.#count === undefined) this.#count = number;
    else if (this.#offset === undefined) this.#offset = number;
    else {
      this.runs.push({ offset: this.#offset, sizeBytes: number });
      this.#offset = undefined;
    }
  }

  #done(): boolean {
    return this.#count !== undefined && this.runs.length >= this.#count;
  }
}

/** The old form: blocks of 21 runs behind the header, the last of which says so. */
class HeaderMap implements SparseBlocks {
  readonly inContents = false;
  readonly runs: SparseRun[];
  #blocks = 0;

  constructor(runs: SparseRun[]) {
    this.runs = runs;
  }

  add(block: Buffer, at: number): boolean {
    if (++this.#blocks > MAX_MAP_BLOCKS) throw refuse(`with a map of more than ${MAX_MAP_BYTES} bytes`);
    readRuns(block, at, 21, this.runs);
    return block[at + 504] === 0;
  }
}

/** An unused place begins with a NUL. */
function readRuns(block: Buffer, at: number, most: number, runs: SparseRun[]): void {
  for (let i = 0; i < most && block[at + i * RUN_BYTES] !== 0; i++) {
    const place = at + i * RUN_BYTES;
    runs.push({
      offset: readNumber(block, place, 12, 'sparse map'),
      sizeBytes: readNumber(block, place + 12, 12, 'sparse map'),
    });
  }
}

function pairs(numbers: readonly number[]): SparseRun[] {
  const runs: SparseRun[] = [];
  for (let i = 0; i + 1 < numbers.length; i += 2)
    runs.push({ offset: numbers[i] as number, sizeBytes: numbers[i + 1] as number }); // in bounds
  return runs;
}
