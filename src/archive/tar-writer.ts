import { TareError } from '../base/errors.ts';
import { type ByteString, isAscii } from './byte-string.ts';
import { formatPax } from './pax.ts';
import { BLOCK_BYTES } from './tar-header.ts';
import type { TarEntry, TarKind } from './tar-reader.ts';

/** An entry to write; what is left out is 0, empty, or 0644 (0755 for directories). */
export type TarInput = Pick<TarEntry, 'path' | 'kind'> &
  Partial<Omit<TarEntry, 'xattrs'>> & { readonly xattrs?: TarEntry['xattrs'] };

const types: Readonly<Record<TarKind, string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  char: '3',
  block: '4',
  dir: '5',
  fifo: '6',
};

/** The two zero blocks that end an archive. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK_BYTES);

/** The zero bytes that follow contents of this size. */
export function tarPadding(sizeBytes: number): Uint8Array {
  return new Uint8Array((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES);
}

/**
 * The header blocks of an entry: ustar, with a PAX header before it for what ustar cannot say (long or non-ASCII names, sub-second or negative times,
 * large numbers, attributes). Its contents and `tarPadding` follow. Equal entries give equal bytes.
 *
 * Errors: `invalid` for a NUL byte in a name.
 */
export function tarHeader(input: TarInput): Buffer {
  const path = input.kind === 'dir' && !input.path.endsWith('/') ? `${input.path}/` : input.path;
  const linkPath = input.linkPath ?? '';
  if (path.includes('\0') || linkPath.includes('\0'))
    throw new TareError('invalid', 'Cannot write tar: a NUL byte in a name');
  const records: [ByteString, ByteString][] = [];
  const number = (key: string, value: number, digits: number): number => {
    if (value >= 0 && value < 8 ** digits) return value;
    records.push([key, String(value)]);
    return 0;
  };
  const seconds = input.mtimeSeconds ?? 0;
  const nanoseconds = input.mtimeNanoseconds ?? 0;
  const split = isAscii(path) ? splitName(path) : undefined;
  if (split === undefined) records.push(['path', path]);
  if (linkPath.length > 100 || !isAscii(linkPath)) records.push(['linkpath', linkPath]);
  const fields: HeaderFields = {
    name: split?.name ?? path.slice(0, 100),
    prefix: split?.prefix ?? '',
    linkName: linkPath.slice(0, 100),
    type: types[input.kind],
    mode: input.mode ?? (input.kind === 'dir' ? 0o755 : 0o644),
    uid: number('uid', input.uid ?? 0, 7),
    gid: number('gid', input.gid ?? 0, 7),
    sizeBytes: input.kind === 'file' ? number('size', input.sizeBytes ?? 0, 11) : 0,
    mtimeSeconds: seconds >= 0 && seconds < 8 ** 11 ? seconds : 0,
    major: input.major ?? 0,
    minor: input.minor ?? 0,
  };
  if (nanoseconds !== 0 || fields.mtimeSeconds !== seconds) records.push(['mtime', paxTime(seconds, nanoseconds)]);
  for (const [name, value] of input.xattrs ?? []) records.push([`SCHILY.xattr.${name}`, value]);
  const header = formatHeader(fields);
  if (records.length === 0) return header;
  const body = formatPax(records);
  const extended = formatHeader({
    ...fields,
    name: 'PaxHeaders/entry',
    prefix: '',
    linkName: '',
    type: 'x',
    mode: 0o644,
    uid: 0,
    gid: 0,
    sizeBytes: body.length,
    mtimeSeconds: 0,
    major: 0,
    minor: 0,
  });
  return Buffer.concat([extended, body, tarPadding(body.length), header]);
}

interface HeaderFields {
  name: ByteString;
  prefix: ByteString;
  linkName: ByteString;
  type: string;
  mode: number;
  uid: number;
  gid: number;
  sizeBytes: number;
  mtimeSeconds: number;
  major: number;
  minor: number;
}

/** Undefined when the name does not fit the two fields. */
function splitName(path: ByteString): { prefix: ByteString; name: ByteString } | undefined {
  if (path.length <= 100) return { prefix: '', name: path };
  const slash = path.indexOf('/', path.length - 101);
  if (slash <= 0 || slash > 155 || slash === path.length - 1) return undefined;
  return { prefix: path.slice(0, slash), name: path.slice(slash + 1) };
}

function paxTime(seconds: number, nanoseconds: number): string {
  if (nanoseconds === 0) return String(seconds);
  const [whole, fraction, sign] =
    seconds >= 0 ? [seconds, nanoseconds, ''] : [-seconds - 1, 1_000_000_000 - nanoseconds, '-'];
  return `${sign}${whole}.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`;
}

function formatHeader(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  };
  block.write(fields.name, 0, 100, 'latin1');
  octal(fields.mode & 0o7777, 100, 8);
  octal(fields.uid, 108, 8);
  octal(fields.gid, 116, 8);
  octal(fields.sizeBytes, 124, 12);
  octal(fields.mtimeSeconds, 136, 12);
  block.write(' '.repeat(8), 148, 'latin1');
  block.write(fields.type, 156, 'latin1');
  block.write(fields.linkName, 157, 100, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(fields.major, 329, 8);
  octal(fields.minor, 337, 8);
  block.write(fields.prefix, 345, 155, 'latin1');
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
