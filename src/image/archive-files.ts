import { TareError, isKind } from '../base/errors.ts';
import { TarReader, cleanPath, utf8Of, type TarEntry } from '../archive/mod.ts';
import { duplicate, type Fd } from '../sys/fd.ts';
import { isErrno } from '../sys/error.ts';
import { AT_FDCWD, O_NOCTTY, O_NONBLOCK, O_RDONLY, openat2 } from '../sys/open.ts';
import { fstat } from '../sys/stat.ts';
import { fileRange } from './_file-range.ts';
import { spool } from './_spool.ts';
import { streamOf } from '../sys/read-stream.ts';
import type { ImageFiles } from './image-files.ts';
import { compressionOf, openLayerTar } from './layer-tar.ts';

interface Range {
  readonly offset: number;
  readonly sizeBytes: number;
}

/** What an archive holds, by clean name. */
interface Table {
  readonly files: Map<string, Range>;
  /** Symbolic and hard links, with the clean name that each leads to. */
  readonly links: Map<string, string>;
  /** Names that stand in the archive more than once: which is meant, readers do not agree on. */
  readonly twice: Set<string>;
}

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
/** More files than any archive of images has, and longer names. */
const MAX_ENTRIES = 100_000;
const MAX_NAME = 255;
const MAX_LINKS = 8;
const zeros = Buffer.alloc(1024 * 1024);

export interface ArchiveOptions {
  /** Absolute. Where a compressed archive, or one from a pipe, is unpacked to: into a file without a name. */
  readonly tempDir: string;
  readonly signal?: AbortSignal;
}

/**
 * Image files in a tar archive: a path, or a descriptor that is only borrowed while this opens. Its table of contents is made by one pass over the headers; contents are
 * skipped, and no name in it is ever joined to a path. A compressed archive (gzip, zstd) and one from a pipe are copied to a temporary file first.
 *
 * Errors: `not-found`, `denied`, `invalid`, `exhausted`; `unsupported` for another compression.
 */
export async function openArchiveFiles(input: string | number, options: ArchiveOptions): Promise<ImageFiles> {
  const place = typeof input === 'string' ? input : 'standard input';
  const stack = new DisposableStack();
  try {
    const given = stack.use(typeof input === 'string' ? openArchive(input) : duplicate(input));
    const fd = await seekable(given, place, options, stack);
    const table = await tableOf(fd.number, fstat(fd).sizeBytes, place).catch((error: unknown) => {
      throw unreadable(error, place);
    });
    return {
      place,
      has: (name) => table.files.has(follow(table, name, place)),
      open(name) {
        const target = follow(table, name, place);
        const range = table.files.get(target);
        if (range === undefined) throw new TareError('not-found', `Cannot read ${name} in ${place}: it is not there`);
        for (const used of [name, target])
          if (table.twice.has(used)) throw new TareError('invalid', `Cannot read ${place}: it has ${used} twice`);
        const { offset, sizeBytes } = range;
        return {
          sizeBytes,
          read: (signal) => fileRange(fd.number, offset, offset + sizeBytes, `${name} in ${place}`, signal),
          [Symbol.dispose]() {},
        };
      },
      async [Symbol.asyncDispose]() {
        stack.dispose();
      },
    };
  } catch (error) {
    stack.dispose();
    throw error;
  }
}

/** What the reader of tar files complains about, with the place. */
function unreadable(error: unknown, place: string): unknown {
  if (!isKind(error, 'invalid')) return error;
  const what = error.message.replace(/^Cannot /, 'cannot ');
  return new TareError('invalid', `Cannot open image archive ${place}: ${what}`, { cause: error });
}

function openArchive(path: string): Fd {
  try {
    return openat2(AT_FDCWD, path, { flags: O_RDONLY | O_NONBLOCK | O_NOCTTY });
  } catch (cause) {
    if (isErrno(cause, 'ENOENT', 'ENOTDIR'))
      throw new TareError('not-found', `Cannot open image archive ${path}: there is no such file`, { cause });
    throw cause;
  }
}

/** The archive as a plain tar in a regular file. */
async function seekable(given: Fd, place: string, options: ArchiveOptions, stack: DisposableStack): Promise<Fd> {
  const { mode, sizeBytes } = fstat(given);
  const isFile = (mode & S_IFMT) === S_IFREG;
  if ((mode & S_IFMT) === S_IFDIR)
    throw new TareError('invalid', `Cannot open image archive ${place}: it is a directory`);
  if (isFile) {
    let start: Uint8Array = new Uint8Array(0);
    for await (const chunk of fileRange(given.number, 0, Math.min(8, sizeBytes), place)) start = chunk;
    if (compressionOf(start) === 'none') return given;
  }
  const body = isFile ? fileRange(given.number, 0, sizeBytes, place, options.signal) : streamOf(given, options.signal);
  await using plain = await openLayerTar(body, `image archive ${place}`);
  return stack.use(await spool(plain.tar, options.tempDir, `image archive ${place}`));
}

async function tableOf(fd: number, sizeBytes: number, place: string): Promise<Table> {
  const table: Table = { files: new Map(), links: new Map(), twice: new Set() };
  /** Bytes of the archive that the reader has accounted for, which is where an entry's contents start when it is announced. */
  let seen = 0;
  let contentsEnd = 0;
  const reader = new TarReader(
    {
      raw: (_, start, end) => void (seen += end - start),
      data: (_, start, end) => void (seen += end - start),
      entry(entry: TarEntry) {
        contentsEnd = seen + entry.sizeBytes;
        add(table, entry, seen);
      },
      endEntry() {},
    },
    { maxEntries: MAX_ENTRIES },
  );
  for (let at = 0; at < sizeBytes;) {
    const end = Math.min(at + 16384, sizeBytes);
    for await (const chunk of fileRange(fd, at, end, place)) {
      reader.write(chunk);
      at += chunk.byteLength;
    }
    // Contents are not read now: the reader gets as many zeros instead.
    const skipTo = Math.min(contentsEnd, sizeBytes);
    for (; at < skipTo; at += Math.min(zeros.length, skipTo - at))
      reader.write(zeros.subarray(0, Math.min(zeros.length, skipTo - at)));
  }
  reader.end();
  return table;
}

function add(table: Table, entry: TarEntry, offset: number): void {
  if (entry.kind !== 'file' && entry.kind !== 'symlink' && entry.kind !== 'link') return;
  const name = utf8Of(cleanPath(entry.path));
  if (name.length > MAX_NAME) return;
  if (table.files.has(name) || table.links.has(name)) table.twice.add(name);
  if (entry.kind === 'file') table.files.set(name, { offset, sizeBytes: entry.sizeBytes });
  else {
    const base =
      entry.kind === 'link' || entry.linkPath.startsWith('/') ? '' : name.slice(0, name.lastIndexOf('/') + 1);
    table.links.set(name, utf8Of(cleanPath(base + entry.linkPath)));
  }
}

/** Where a name leads by the archive's own links. */
function follow(table: Table, name: string, place: string): string {
  let target = name;
  for (let hops = 0; ; hops++) {
    const next = table.links.get(target);
    if (next === undefined) return target;
    if (hops === MAX_LINKS) throw new TareError('invalid', `Cannot read ${name} in ${place}: its links have no end`);
    target = next;
  }
}
