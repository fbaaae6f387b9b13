/** Writes small tar archives for tests, and broken ones: nothing is checked. */

export interface TarEntry {
  readonly name: string;
  /** A file unless stated. */
  readonly type?: 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'directory' | 'fifo';
  readonly content?: string | Uint8Array;
  readonly link?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds since 1970. */
  readonly mtime?: number;
  readonly device?: readonly [major: number, minor: number];
  /** PAX records before the entry; `SCHILY.xattr.NAME` sets an extended attribute. */
  readonly pax?: Readonly<Record<string, string>>;
}

const types = { file: '0', hardlink: '1', symlink: '2', char: '3', block: '4', directory: '5', fifo: '6' } as const;
const modes = {
  file: 0o644,
  hardlink: 0o644,
  symlink: 0o777,
  char: 0o600,
  block: 0o600,
  directory: 0o755,
  fifo: 0o600,
} as const;

/** A POSIX ustar archive of `entries` with its two closing blocks. Names over 100 bytes get a PAX record. */
export function tarOf(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.map(entryOf), Buffer.alloc(1024)]);
}

function entryOf(entry: TarEntry): Buffer {
  const type = entry.type ?? 'file';
  const pax: Record<string, string> = { ...entry.pax };
  if (Buffer.byteLength(entry.name) > 100) pax['path'] = entry.name;
  if (Buffer.byteLength(entry.link ?? '') > 100) pax['linkpath'] = entry.link ?? '';
  const content = Buffer.from(entry.content ?? '');
  const records = Buffer.concat(Object.entries(pax).map(([key, value]) => record(key, value)));
  const before = records.length === 0 ? [] : [header('x', 'pax', records.length, { name: '' }, 0o644), padded(records)];
  return Buffer.concat([
    ...before,
    header(types[type], entry.name, content.length, entry, entry.mode ?? modes[type]),
    padded(content),
  ]);
}

function record(key: string, value: string): Buffer {
  const rest = Buffer.from(` ${key}=${value}\n`);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function header(type: string, name: string, size: number, entry: TarEntry, mode: number): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, offset: number, digits: number): void =>
    void block.write(value.toString(8).padStart(digits, '0'), offset);
  Buffer.from(name).copy(block, 0, 0, 100);
  octal(mode, 100, 7);
  octal(entry.uid ?? 0, 108, 7);
  octal(entry.gid ?? 0, 116, 7);
  octal(size, 124, 11);
  octal(entry.mtime ?? 0, 136, 11);
  block.write('        ', 148);
  block.write(type, 156);
  Buffer.from(entry.link ?? '').copy(block, 157, 0, 100);
  block.write('ustar\u000000', 257);
  octal(entry.device?.[0] ?? 0, 329, 7);
  octal(entry.device?.[1] ?? 0, 337, 7);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148);
  return block;
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}
