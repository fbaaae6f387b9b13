/** Where zstd frames begin and end (RFC 8878, section 3), without unpacking them. */
import { TareError } from '../base/errors.ts';

const FRAME_MAGIC = 0xfd2fb528;
const MAGIC_BYTES = Buffer.of(0x28, 0xb5, 0x2f, 0xfd);
/** The lowest of 16. */
const SKIPPABLE_MAGIC = 0x184d2a50;
/** No block holds more, packed or unpacked. */
export const MAX_BLOCK_BYTES = 128 * 1024;
/** Decoders must take windows of 8 MiB; tools write up to 128 MiB. More is a frame that asks for memory only. */
export const MAX_WINDOW_LOG = 27;

/** Bytes of one frame. */
export interface FramePiece {
  readonly bytes: Uint8Array;
  /** Headers of blocks in it: each unpacks to MAX_BLOCK_BYTES at most. */
  readonly blocks: number;
  /** The frame is complete with it; only said when pieces are split. */
  readonly isEnd: boolean;
}

type Field = 'magic' | 'skip-size' | 'descriptor' | 'header' | 'block' | 'checksum';

/**
 * Push parser that tells frames apart and leaves skippable ones out. It accepts exactly: whole frames, one after the other.
 *
 * Errors: `invalid` for anything between or behind frames, reserved values, a window above 128 MiB, and an end in the middle; `unsupported` for a dictionary.
 */
export class ZstdFrames {
  readonly #what: string;
  readonly #splits: boolean;
  #field: Field = 'magic';
  #need = 4;
  readonly #bytes = Buffer.alloc(16);
  #have = 0;
  /** Bytes to pass on (a block's) or to leave out (a skippable frame's) before the next field. */
  #left = 0;
  #skips = false;
  #descriptor = 0;
  #isLast = false;
  #blocks = 0;

  /** `splits`: a piece is of one frame only, and says when that ends. Otherwise pieces are as long as they can be. */
  constructor(what: string, splits: boolean) {
    this.#what = what;
    this.#splits = splits;
  }

  /** The next bytes; the pieces point into them. */
  write(chunk: Buffer): FramePiece[] {
    const pieces: FramePiece[] = [];
    /** Where the bytes begin that are to be passed on. */
    let from = this.#field === 'magic' || this.#skips ? -1 : 0;
    /** Where the last frame ended, while it is not known what follows. */
    let ended = -1;
    const end = (at: number): void => {
      if (this.#splits) pass(at, true);
      else if (from >= 0) ended = at;
    };
    const pass = (to: number, isEnd: boolean): void => {
      if (from >= 0 && (to > from || isEnd))
        pieces.push({ bytes: chunk.subarray(from, to), blocks: this.#blocks, isEnd });
      this.#blocks = 0;
      from = -1;
    };
    for (let at = 0; at < chunk.length;) {
      if (this.#left > 0) {
        const length = Math.min(this.#left, chunk.length - at);
        this.#left -= length;
        at += length;
        if (this.#left === 0) {
          if (this.#skips) this.#expect('magic', 4);
          else if (this.#endOfBlock()) end(at);
        }
        continue;
      }
      const length = Math.min(this.#need - this.#have, chunk.length - at);
      chunk.copy(this.#bytes, this.#have, at, at + length);
      this.#have += length;
      at += length;
      if (this.#have < this.#need) break;
      const wasMagic = this.#field === 'magic';
      if (this.#endOfField()) end(at);
      else if (wasMagic && this.#skips) {
        if (ended >= 0) pass(ended, false);
        ended = -1;
      } else if (wasMagic) {
        // A frame right behind another one in this chunk goes on with it.
        if (ended < 0 && at < 4) pieces.push({ bytes: MAGIC_BYTES, blocks: 0, isEnd: false });
        if (ended < 0) from = at < 4 ? at : at - 4;
        ended = -1;
      }
    }
    pass(ended < 0 ? chunk.length : ended, false);
    return pieces;
  }

  /** No more bytes. */
  end(): void {
    if (this.#field !== 'magic' || this.#have > 0 || this.#left > 0) throw this.#refuse('its zstd data is cut short');
  }

  #expect(field: Field, need: number): void {
    this.#field = field;
    this.#need = need;
    this.#have = 0;
    if (field === 'magic') this.#skips = false;
  }

  /** True when the frame is complete. */
  #endOfField(): boolean {
    const bytes = this.#bytes;
    switch (this.#field) {
      case 'magic': {
        const magic = bytes.readUInt32LE();
        if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
          this.#expect('skip-size', 4);
          this.#skips = true;
        } else if (magic === FRAME_MAGIC) this.#expect('descriptor', 1);
        else throw this.#refuse('what is no zstd frame stands among its zstd data');
        return false;
      }
      case 'skip-size':
        this.#left = bytes.readUInt32LE();
        if (this.#left === 0) this.#expect('magic', 4);
        return false;
      case 'descriptor':
        this.#descriptor = bytes[0] ?? 0;
        this.#expect('header', headerBytes(this.#descriptor));
        return false;
      case 'header':
        this.#checkHeader(bytes.subarray(0, this.#need));
        this.#expect('block', 3);
        return false;
      case 'block': {
        const bits = bytes.readUIntLE(0, 3);
        const [type, length] = [(bits >> 1) & 3, bits >> 3];
        if (type === 3 || length > MAX_BLOCK_BYTES)
          throw this.#refuse('its zstd data is damaged: a block of no known form');
        this.#isLast = (bits & 1) !== 0;
        this.#blocks++;
        // A block of one byte that is repeated has that byte only.
        this.#left = type === 1 ? 1 : length;
        return this.#left === 0 && this.#endOfBlock();
      }
      case 'checksum':
        this.#expect('magic', 4);
        return true;
    }
  }

  /** True when the frame is complete. */
  #endOfBlock(): boolean {
    if (!this.#isLast) this.#expect('block', 3);
    else if ((this.#descriptor & 4) !== 0) this.#expect('checksum', 4);
    else {
      this.#expect('magic', 4);
      return true;
    }
    return false;
  }

  #checkHeader(header: Buffer): void {
    const isSingleSegment = (this.#descriptor & 0x20) !== 0;
    const start = isSingleSegment ? 0 : 1;
    const dictionary = dictionaryBytes(this.#descriptor);
    if (dictionary > 0 && header.readUIntLE(start, dictionary) !== 0)
      throw new TareError('unsupported', `Cannot unpack ${this.#what}: its zstd data needs a dictionary`);
    const window = isSingleSegment ? contentSize(header.subarray(dictionary)) : windowSize(header[0] ?? 0);
    if (window > 2 ** MAX_WINDOW_LOG)
      throw this.#refuse(`its zstd data needs a window of ${window} bytes, more than ${2 ** MAX_WINDOW_LOG}`);
  }

  #refuse(state: string): TareError {
    return new TareError('invalid', `Cannot unpack ${this.#what}: ${state}`);
  }
}

function dictionaryBytes(descriptor: number): number {
  return [0, 1, 2, 4][descriptor & 3] ?? 0;
}

/** Bytes of a frame header after its descriptor: window, dictionary, size of the contents. */
function headerBytes(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const size = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  return (isSingleSegment ? 0 : 1) + dictionaryBytes(descriptor) + size;
}

function windowSize(byte: number): number {
  const base = 2 ** (10 + (byte >> 3));
  return base + (base / 8) * (byte & 7);
}

function contentSize(field: Buffer): number {
  if (field.length === 8) return Number(field.readBigUInt64LE());
  return field.readUIntLE(0, field.length) + (field.length === 2 ? 256 : 0);
}
