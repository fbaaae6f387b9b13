import { TareError, messageOf } from '../base/errors.ts';
import { SysError } from '../sys/error.ts';
import { type ByteString, utf8Of } from './byte-string.ts';

/** Names of an archive are shown quoted: they may hold anything. */
const shown = (path: ByteString): string => JSON.stringify(utf8Of(path === '' ? '/' : path));

/** A failed system call in words that name the entry; anything else stays what it is. */
export function extractError(error: unknown, path: ByteString): unknown {
  if (!(error instanceof SysError)) return error;
  const why =
    error.code === 'EBUSY'
      ? 'a mount is in its place; write to it from inside (tare exec)'
      : messageOf(error).replace(/^Cannot /, '');
  return new TareError(error.kind, `Cannot write ${shown(path)}: ${why}`, { cause: error });
}

/** A file and a directory meet. */
export function inTheWay(path: ByteString, there: string, wanted: string): TareError {
  return new TareError(
    'failed-precondition',
    `Cannot write ${wanted} ${shown(path)}: ${there} is in its place; --overwrite replaces it`,
  );
}

export function coveredByMount(path: ByteString): TareError {
  const why = 'a mount has its place, which is there only while the container runs';
  return new TareError('failed-precondition', `Cannot write ${shown(path)}: ${why}`);
}

export function noTarget(path: ByteString, target: ByteString): TareError {
  const why = `it is a hard link to ${shown(target)}, which is no earlier entry of the archive`;
  return new TareError('invalid', `Cannot write ${shown(path)}: ${why}`);
}
