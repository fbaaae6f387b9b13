import { TareError } from '../base/errors.ts';
import { TarReader, cleanPath, type TarEntry } from '../archive/mod.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { AT_FDCWD, O_NOCTTY, O_NONBLOCK, O_RDONLY, openat2 } from '../sys/open.ts';
import { fstat } from '../sys/stat.ts';
import { fileRange } from './_file-range.ts';
import type { LayoutFiles } from './layout-source.ts';

interface Range {
  readonly offset: number;
  readonly sizeBytes: number;
}

const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
/** More files than any layout of one image has. */
const MAX_ENTRIES = 100_000;
const layoutPath = /^(?:oci-layout|index\.json|blobs\/[a-z0-9]+\/[0-9a-f]+)$/;
const zeros = Buffer.alloc(1024 * 1024);

/**
 * An OCI layout in a tar archive that is a regular file. Its table of contents is made by one pass over the headers; contents are skipped, nothing is unpacked, and no name
 * in it is ever joined to a path. Errors: `not-found`, `denied`, `invalid`; `unsupported` for a compressed archive.
 */
export async function openLayoutArchive(path: string): Promise<LayoutFiles> {
  const fd = openArchive(path);
  try {
    const { mode, sizeBytes } = fstat(fd);
    if ((mode & S_IFMT) !== S_IFREG)
      throw new TareError('invalid', `Cannot open OCI archive ${path}: it is not a regular file`);
    const files = await tableOf(fd.number, sizeBytes, path);
    return {
      place: path,
      open(name) {
        const range = files.get(name);
        if (range === undefined) throw new TareError('not-found', `Cannot read ${name} in ${path}: it is not there`);
        const { offset } = range;
        return {
          sizeBytes: range.sizeBytes,
          read: (signal) => fileRange(fd.number, offset, offset + range.sizeBytes, `${name} in ${path}`, signal),
          [Symbol.dispose]() {},
        };
      },
      async [Symbol.asyncDispose]() {
        fd.close();
      },
    };
  } catch (error) {
    fd.close();
    throw error;
  }
}

function openArchive(path: string): Fd {
  try {
    return openat2(AT_FDCWD, path, { flags: O_RDONLY | O_NONBLOCK | O_NOCTTY });
  } catch (cause) {
    if (isErrno(cause, 'ENOENT', 'ENOTDIR'))
      throw new TareError('not-found', `Cannot open OCI archive ${path}: there is no such file`, { cause });
    throw cause;
  }
}

async function tableOf(fd: number, sizeBytes: number, path: string): Promise<Map<string, Range>> {
  const files = new Map<string, Range>();
  /** Bytes of the archive that the reader has accounted for, which is where an entry's contents start when it is announced. */
  let seen = 0;
  let contentsEnd = 0;
  const reader = new TarReader(
    {
      raw: (_, start, end) => void (seen += end - start),
      data: (_, start, end) => void (seen += end - start),
      entry(entry: TarEntry) {
        contentsEnd = seen + entry.sizeBytes;
        if (entry.kind !== 'file') return;
        const name = cleanPath(entry.path);
        if (!layoutPath.test(name)) return;
        if (files.has(name)) throw new TareError('invalid', `Cannot open OCI archive ${path}: it has ${name} twice`);
        files.set(name, { offset: seen, sizeBytes: entry.sizeBytes });
      },
      endEntry() {},
    },
    { maxEntries: MAX_ENTRIES },
  );
  for (let at = 0; at < sizeBytes;) {
    const end = Math.min(at + 16384, sizeBytes);
    for await (const chunk of fileRange(fd, at, end, path)) {
      if (at === 0) refuseCompressed(chunk, path);
      reader.write(chunk);
      at += chunk.byteLength;
    }
    // Contents are not read now: the reader gets as many zeros instead.
    const skipTo = Math.min(contentsEnd, sizeBytes);
    for (; at < skipTo; at += Math.min(zeros.length, skipTo - at))
      reader.write(zeros.subarray(0, Math.min(zeros.length, skipTo - at)));
  }
  reader.end();
  return files;
}

function refuseCompressed(chunk: Uint8Array, path: string): void {
  const magic = Buffer.from(chunk.subarray(0, 4)).toString('hex');
  if (/^(?:1f8b|28b52ffd|425a68|fd377a58)/.test(magic))
    throw new TareError(
      'unsupported',
      `Cannot open OCI archive ${path}: it is compressed; unpack it first with gunzip, zstd or xz`,
    );
}
