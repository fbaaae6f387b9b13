import { type ErrorKind, TareError } from '../base/errors.ts';
import { addon } from './addon.ts';

const kinds: Readonly<Record<string, ErrorKind>> = {
  ENOENT: 'not-found',
  ESRCH: 'not-found',
  ENODATA: 'not-found',
  EEXIST: 'already-exists',
  EACCES: 'denied',
  EPERM: 'denied',
  EROFS: 'denied',
  ENOSYS: 'unsupported',
  EOPNOTSUPP: 'unsupported',
  ENODEV: 'unsupported',
  EAFNOSUPPORT: 'unsupported',
  ENOSPC: 'exhausted',
  EDQUOT: 'exhausted',
  EMFILE: 'exhausted',
  ENFILE: 'exhausted',
  ENOMEM: 'exhausted',
  EBUSY: 'failed-precondition',
  ETXTBSY: 'failed-precondition',
  ENOTDIR: 'failed-precondition',
  EISDIR: 'failed-precondition',
  ENOTEMPTY: 'failed-precondition',
  EXDEV: 'failed-precondition',
  ELOOP: 'failed-precondition',
  ESTALE: 'failed-precondition',
  EDEADLK: 'failed-precondition',
  EINVAL: 'invalid',
  ENAMETOOLONG: 'invalid',
  E2BIG: 'invalid',
  ERANGE: 'invalid',
  EAGAIN: 'unavailable',
  ECONNREFUSED: 'unavailable',
  ECONNRESET: 'unavailable',
  EPIPE: 'unavailable',
  ENOTCONN: 'unavailable',
  EINTR: 'cancelled',
  ETIMEDOUT: 'deadline',
};

/** A system call that failed. `kind` follows from the errno; an errno without a kind of its own is `internal`. */
export class SysError extends TareError {
  readonly syscall: string;
  /** The positive error number. */
  readonly errno: number;
  /** Its name, "ENOENT". */
  readonly code: string;
  readonly path?: string;

  /** `detail` is what the kernel says beyond the errno, e.g. the log of a file system context. */
  constructor(syscall: string, errno: number, path?: string, detail?: string) {
    const text = addon().errnoText(errno) ?? `E${errno} unknown error`;
    const space = text.indexOf(' ');
    const code = text.slice(0, space);
    const meaning = text.charAt(space + 1).toLowerCase() + text.slice(space + 2);
    super(
      kinds[code] ?? 'internal',
      `Cannot ${syscall}${path === undefined ? '' : ` ${path}`}: ${code} (${meaning})${detail ? `: ${detail}` : ''}`,
    );
    this.syscall = syscall;
    this.errno = errno;
    this.code = code;
    if (path !== undefined) this.path = path;
  }
}

/** What one of Node's own file functions threw as a SysError; anything else stays what it is. */
export function sysErrorOf(error: unknown): unknown {
  const { errno, syscall, path } = error as NodeJS.ErrnoException;
  return error instanceof TareError || errno === undefined ? error : new SysError(syscall ?? 'call', -errno, path);
}

/** Returns a call's result; throws a SysError for -errno. */
export function check(result: number, syscall: string, path?: string | Uint8Array): number {
  if (result < 0)
    throw new SysError(
      syscall,
      -result,
      path === undefined || typeof path === 'string' ? path : Buffer.from(path).toString(),
    );
  return result;
}

/** True when `error` is a SysError with one of the error names. */
export function isErrno(error: unknown, ...codes: string[]): error is SysError {
  return error instanceof SysError && codes.includes(error.code);
}
