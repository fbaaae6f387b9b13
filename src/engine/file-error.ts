import { TareError } from '../base/errors.ts';
import { SysError } from '../sys/error.ts';

/** Says what a failed file operation of Node's prevented: "Cannot create container: write: ENOSPC (no space left on device)". Anything else stays what it is. */
export function fileError(error: unknown, doing: string): unknown {
  if (error instanceof TareError || !(error instanceof Error)) return error;
  const { errno, syscall, path } = error as NodeJS.ErrnoException;
  if (errno === undefined || syscall === undefined) return error;
  const { kind, message } = new SysError(syscall, -errno, path);
  return new TareError(kind, `Cannot ${doing}: ${message.replace(/^Cannot /, '')}`, { cause: error });
}
