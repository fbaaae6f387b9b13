import { randomUUID } from 'node:crypto';
import { fdatasyncSync, renameSync, statSync, unlinkSync, write } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { duplicate, type Fd } from '../sys/fd.ts';
import { linkat } from '../sys/at.ts';
import { isErrno } from '../sys/error.ts';
import { AT_FDCWD, O_CREAT, O_EXCL, O_NOCTTY, O_TMPFILE, O_WRONLY, openat2 } from '../sys/open.ts';
import { TEMP_PREFIX, writeError } from './_blob-file.ts';

const writeSome = promisify(write);

/** Where an archive's bytes go, in order. */
export interface ArchiveOutput extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
  /** The archive is complete. Disposing without it leaves no file. */
  commit(): Promise<void>;
}

/** A file that appears, or replaces the one that is there, when the archive is complete. A device or pipe at that place is written to as it is. Errors: `denied`, `exhausted`, `not-found`. */
export async function fileOutput(path: string): Promise<ArchiveOutput> {
  const there = statSync(path, { throwIfNoEntry: false });
  if (there !== undefined && !there.isFile()) {
    if (there.isDirectory())
      throw new TareError('failed-precondition', `Cannot write archive ${path}: it is a directory`);
    // Opening a FIFO waits for its reader: not on this thread.
    await using handle = await open(path, 'w');
    return fdOutput(handle.fd, path);
  }
  const temp = join(dirname(path), `${TEMP_PREFIX}${basename(path).slice(0, 64)}-${randomUUID()}`);
  const what = `archive ${path}`;
  const { fd, ...place } = openNew(temp, what);
  let hasName = place.hasName;
  return {
    write: (bytes) => writeTo(fd, bytes, what),
    async commit() {
      try {
        fdatasyncSync(fd.number);
        if (!hasName) linkat(fd, '', AT_FDCWD, temp);
        hasName = true;
        renameSync(temp, path);
      } catch (error) {
        throw writeError(error, what);
      }
      hasName = false;
    },
    async [Symbol.asyncDispose]() {
      fd.close();
      if (hasName) unlinkSync(temp);
    },
  };
}

/** A file without a name, of which a kill leaves nothing; where the file system has none of those, one that is called `temp`. */
function openNew(temp: string, what: string): { readonly fd: Fd; readonly hasName: boolean } {
  const mode = 0o644;
  try {
    return { fd: openat2(AT_FDCWD, dirname(temp), { flags: O_TMPFILE | O_WRONLY, mode }), hasName: false };
  } catch (error) {
    if (!isErrno(error, 'EOPNOTSUPP', 'EISDIR')) throw unwritable(error, what);
  }
  try {
    return { fd: openat2(AT_FDCWD, temp, { flags: O_CREAT | O_EXCL | O_WRONLY | O_NOCTTY, mode }), hasName: true };
  } catch (error) {
    throw unwritable(error, what);
  }
}

function unwritable(cause: unknown, what: string): unknown {
  if (!(cause instanceof TareError)) return cause;
  return new TareError(cause.kind, `Cannot write ${what}: its directory cannot be written to`, { cause });
}

/** A descriptor that is only borrowed: a pipe, a socket, a file that is open. What was written before a failure stays. */
export function fdOutput(number: number, what = 'standard output'): ArchiveOutput {
  const fd = duplicate(number);
  return {
    write: (bytes) => writeTo(fd, bytes, what),
    async commit() {},
    async [Symbol.asyncDispose]() {
      fd.close();
    },
  };
}

async function writeTo(fd: Fd, bytes: Uint8Array, what: string): Promise<void> {
  for (let rest = bytes; rest.byteLength > 0;) {
    try {
      rest = rest.subarray((await writeSome(fd.number, rest, 0, rest.byteLength, null)).bytesWritten);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE')
        throw new TareError('cancelled', `Cannot write ${what}: the reader is gone`, { cause: error });
      if (code !== 'EAGAIN') throw writeError(error, what);
      await sleep(2);
    }
  }
}
