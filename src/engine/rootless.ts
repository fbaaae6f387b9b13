import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** The unprivileged user whose namespace this process is in, where it is root. */
export interface RootlessUser {
  /** Outside the namespace. */
  readonly uid: number;
  readonly gid: number;
  /** The process that keeps the namespace; 0 where it is not ours. */
  readonly holder: number;
  /** XDG_DATA_HOME, XDG_CONFIG_HOME and XDG_RUNTIME_DIR, or what stands for them. Absolute. */
  readonly dataHome: string;
  readonly configHome: string;
  readonly runtimeDir: string;
}

/** Variables that a command which another one starts needs in order to know the same. */
export const rootlessVariables: readonly string[] = ['TARE_ROOTLESS', 'HOME', 'XDG_RUNTIME_DIR'];

/**
 * What the launcher says of the user (`TARE_ROOTLESS`; it takes nobody's word for it but the kernel's). Undefined for the machine's own root, and for root of a
 * container, which has the usual places. Errors: denied for a process outside, with what to do.
 */
export function rootlessUser(env: Env, uid: number): RootlessUser | undefined {
  if (uid !== 0) {
    throw new TareError(
      'denied',
      "Cannot use containers in this process: it is not in its user's namespace; start the program with `tare unshare`, like `tare unshare node app.js`",
    );
  }
  const match = /^(\d{1,10}) (\d{1,10}) (\d{1,10})$/.exec(env['TARE_ROOTLESS'] ?? '');
  if (match === null) return undefined;
  const home = absolute(env['HOME']) ?? '/';
  return {
    uid: Number(match[1]),
    gid: Number(match[2]),
    holder: Number(match[3]),
    dataHome: absolute(env['XDG_DATA_HOME']) ?? join(home, '.local/share'),
    configHome: absolute(env['XDG_CONFIG_HOME']) ?? join(home, '.config'),
    runtimeDir: absolute(env['XDG_RUNTIME_DIR']) ?? `/run/user/${match[1]}`,
  };
}

/** Relative ones are invalid and to be ignored (XDG Base Directory Specification). */
function absolute(path: string | undefined): string | undefined {
  return path?.startsWith('/') === true ? path : undefined;
}

/** How many ids of a kind there are from 0 on in the namespace this process is in. */
export function mappedIds(kind: 'uid' | 'gid'): number {
  let end = 0;
  const lines = readFileSync(`/proc/self/${kind}_map`, 'utf8').trim().split('\n');
  const ranges = lines.map((line) => line.trim().split(/\s+/).map(Number)).sort(([a = 0], [b = 0]) => a - b);
  for (const [first = 0, , count = 0] of ranges) {
    if (first > end) break;
    end = first + count;
  }
  return end;
}

/** Whether a logout leaves the run directory alone: systemd removes /run/user/UID unless the user lingers. Errors in finding out count as no. */
export function keepsRunRoot(user: RootlessUser): boolean {
  if (!/^\/(?:var\/)?run\/user\//.test(user.runtimeDir)) return true;
  try {
    const passwd = readFileSync('/etc/passwd', 'utf8').split('\n');
    const name = passwd.find((line) => line.split(':')[2] === String(user.uid))?.split(':')[0];
    if (name === undefined || !/^[\w.-]+$/.test(name)) return false;
    readFileSync(`/var/lib/systemd/linger/${name}`);
    return true;
  } catch {
    return false;
  }
}
