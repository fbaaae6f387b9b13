import { TareError } from '../base/errors.ts';
import type { ByteString } from './byte-string.ts';

/** Everything in a tar is a multiple of this. */
export const BLOCK_BYTES = 512;

/** One header block, fields as they are (POSIX.1-2017 pax "ustar Interchange Format"; GNU tar's base-256 numbers). */
export interface TarHeader {
  /** Typeflag character; '0' also for NUL. */
  type: string;
  /** With the prefix of ustar, when the header has one. */
  name: ByteString;
  linkName: ByteString;
  mode: number;
  uid: number;
  gid: number;
  sizeBytes: number;
  mtimeSeconds: number;
  major: number;
  minor: number;
  /** Without typeflag, as tools older than ustar wrote it: a trailing slash is all that tells a directory. */
  isOld: boolean;
  /** In GNU tar's own format. */
  isGnu: boolean;
}

const invalid = (why: string): TareError => new TareError('invalid', `Cannot read tar header: ${why}`);

function text(block: Buffer, at: number, length: number): ByteString {
  let end = at;
  const limit = at + length;
  while (end < limit && block[end] !== 0) end++;
  return block.toString('latin1', at, end);
}

/**
 * The number in a field: octal digits between spaces and NULs, or base-256 when the first bit is set.
 *
 * Errors: `invalid` for anything else, such as digits behind a space: readers differ in what they make of that.
 */
export function readNumber(block: Buffer, at: number, length: number, what: string): number {
  const first = block[at] ?? 0;
  if ((first & 0x80) !== 0) {
    const negative = (first & 0x40) !== 0;
    let value = negative ? (first & 0x3f) - 64 : first & 0x3f;
    for (let i = at + 1; i < at + length; i++) {
      value = value * 256 + (block[i] ?? 0);
      if (!Number.isSafeInteger(value)) throw invalid(`${what} is out of range`);
    }
    return value;
  }
  let i = at;
  let end = at + length;
  while (i < end && (block[i] === 0x20 || block[i] === 0)) i++;
  while (end > i && (block[end - 1] === 0x20 || block[end - 1] === 0)) end--;
  let value = 0;
  // What follows a NUL is not part of the number.
  for (; i < end && block[i] !== 0; i++) {
    const digit = (block[i] ?? 0) - 48;
    if (digit < 0 || digit > 7) throw invalid(`${what} is no number`);
    value = value * 8 + digit;
  }
  return value;
}

function checksumMatches(block: Buffer, at: number, stored: number): boolean {
  let unsigned = 8 * 0x20;
  let high = 0;
  for (let i = at; i < at + BLOCK_BYTES; i++) {
    if (i === at + 148) i += 8;
    const byte = block[i] as number; // within the block
    unsigned += byte;
    high += byte >> 7;
  }
  // Some old tools summed signed chars.
  return stored === unsigned || stored === unsigned - high * 256;
}

/** True when all 512 bytes at `at` are zero. */
export function isZeroBlock(block: Buffer, at: number): boolean {
  for (let i = at; i < at + BLOCK_BYTES; i++) if (block[i] !== 0) return false;
  return true;
}

/**
 * Reads the header block at `at` into `header`.
 *
 * Errors: `invalid` for a wrong checksum, a field that is no number or out of range, a negative size.
 */
export function readHeader(block: Buffer, at: number, header: TarHeader): void {
  if (!checksumMatches(block, at, readNumber(block, at + 148, 8, 'checksum')))
    throw invalid('its checksum is wrong (not a tar archive, or damaged)');
  const magic = block.toString('latin1', at + 257, at + 265);
  const isUstar = magic.startsWith('ustar\0');
  header.isOld = block[at + 156] === 0;
  header.isGnu = magic === 'ustar  \0';
  header.type = block[at + 156] === 0 ? '0' : String.fromCharCode(block[at + 156] ?? 0);
  header.name = text(block, at, 100);
  header.linkName = text(block, at + 157, 100);
  header.mode = readNumber(block, at + 100, 8, 'mode');
  header.uid = readNumber(block, at + 108, 8, 'uid');
  header.gid = readNumber(block, at + 116, 8, 'gid');
  header.sizeBytes = readNumber(block, at + 124, 12, 'size');
  header.mtimeSeconds = readNumber(block, at + 136, 12, 'mtime');
  const isDevice = header.type === '3' || header.type === '4';
  header.major = isDevice ? readNumber(block, at + 329, 8, 'device number') : 0;
  header.minor = isDevice ? readNumber(block, at + 337, 8, 'device number') : 0;
  if (header.sizeBytes < 0) throw invalid('its size is negative');
  if (isUstar) {
    // "star" marks its own layout by "tar" in the last bytes; its prefix is shorter.
    const isStar = block.toString('latin1', at + 508, at + 512) === 'tar\0';
    const prefix = text(block, at + 345, isStar ? 131 : 155);
    if (prefix !== '') header.name = `${prefix}/${header.name}`;
  }
}
