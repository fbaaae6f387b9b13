import { unlinkSync, write } from 'node:fs';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { TareError } from '../base/errors.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { AT_FDCWD, O_CREAT, O_EXCL, O_RDWR, O_TMPFILE, openat2 } from '../sys/open.ts';

const writeSome = promisify(write);

/** The most that a temporary copy may take. */
const MAX_SPOOL_BYTES = 64 * 2 ** 30;

/**
 * Writes a stream to a file without a name in `dir`, for what must be read more than once or whose size must be known. It is gone when it is closed, also by a kill.
 * Errors: `exhausted` for a full disk or beyond 64 GiB; by errno; whatever `body` throws.
 */
export async function spool(body: AsyncIterable<Uint8Array>, dir: string, what: string): Promise<Fd> {
  const fd = namelessFile(dir);
  try {
    let at = 0;
    for await (const chunk of body) {
      if (at + chunk.byteLength > MAX_SPOOL_BYTES)
        throw new TareError('exhausted', `Cannot unpack ${what}: it is longer than ${MAX_SPOOL_BYTES} bytes`);
      at = await writeAt(fd, chunk, at, what);
    }
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

async function writeAt(fd: Fd, bytes: Uint8Array, position: number, what: string): Promise<number> {
  let at = position;
  for (let rest = bytes; rest.byteLength > 0;) {
    try {
      const { bytesWritten } = await writeSome(fd.number, rest, 0, rest.byteLength, at);
      at += bytesWritten;
      rest = rest.subarray(bytesWritten);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'ENOSPC' || code === 'EDQUOT')
        throw new TareError('exhausted', `Cannot unpack ${what}: the disk is full`, { cause });
      throw cause;
    }
  }
  return at;
}

function namelessFile(dir: string): Fd {
  try {
    return openat2(AT_FDCWD, dir, { flags: O_TMPFILE | O_RDWR, mode: 0o600 });
  } catch (error) {
    if (!isErrno(error, 'EOPNOTSUPP', 'EISDIR')) throw error;
    // File systems without O_TMPFILE.
    const path = join(dir, `.tare-${randomUUID()}`);
    const fd = openat2(AT_FDCWD, path, { flags: O_CREAT | O_EXCL | O_RDWR, mode: 0o600 });
    unlinkSync(path);
    return fd;
  }
}
