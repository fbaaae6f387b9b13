import { addon } from './addon.ts';
import { check, SysError } from './error.ts';
import { Fd } from './fd.ts';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const MFD_NOEXEC_SEAL = 8;
const MFD_EXEC = 16;
const F_ADD_SEALS = 1033;
/** F_SEAL_SEAL | SHRINK | GROW | WRITE */
const ALL_SEALS = 0xf;
const EINVAL = 22;
const EINTR = 4;

/**
 * An anonymous file with `bytes`, sealed: nobody can change it any more. `executable` ones can be run by execveat(2).
 * `name` shows in /proc/PID/fd. Errors: `exhausted`.
 */
export function memfdSealed(name: string, bytes: Uint8Array, options: { executable?: boolean } = {}): Fd {
  using fd = memfdCreate(name, options);
  writeFully(fd.number, bytes);
  check(addon().fcntl(fd.number, F_ADD_SEALS, ALL_SEALS), 'fcntl(F_ADD_SEALS)');
  return Fd.adopt(fd.release());
}

/** memfd_create(2), sealable and close-on-exec. Before Linux 6.3 every one is executable. Errors: `exhausted`. */
export function memfdCreate(name: string, options: { executable?: boolean } = {}): Fd {
  const base = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  let result = addon().memfdCreate(name, base | (options.executable === true ? MFD_EXEC : MFD_NOEXEC_SEAL));
  if (result === -EINVAL) result = addon().memfdCreate(name, base);
  return Fd.adopt(check(result, 'memfd_create', name));
}

/** Writes all of `bytes`. Errors: by errno. */
export function writeFully(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    const written = addon().write(fd, at === 0 ? bytes : bytes.subarray(at));
    if (written === -EINTR) continue;
    if (written <= 0) throw new SysError('write', -written || 5);
    at += written;
  }
}
