import { readFileSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { addon } from './addon.ts';
import { check, SysError } from './error.ts';
import { Fd, type FdLike, numberOf } from './fd.ts';
import { memfdSealed } from './memfd.ts';
import { nativeDir } from './native.ts';
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, mountSetattr, openTree } from './mount.ts';

const ESRCH = 3;

/** A handle on a process that no reuse of its number can redirect. Errors: `not-found` when it is gone and reaped. */
export function pidfdOpen(pid: number): Fd {
  return Fd.adopt(check(addon().pidfdOpen(pid, 0), 'pidfd_open', String(pid)));
}

/** Sends a signal (0: only asks); false when the process has exited and was reaped. Errors: `denied`, `invalid`. */
export function pidfdSendSignal(pidfd: FdLike, signal: number): boolean {
  const result = addon().pidfdSendSignal(numberOf(pidfd), signal, null, 0);
  if (result === -ESRCH) return false;
  check(result, 'pidfd_send_signal');
  return true;
}

/** What /proc/PID/stat tells of a process. */
export interface ProcessStat {
  readonly pid: number;
  /** At most 15 bytes, may hold anything. */
  readonly name: string;
  /** One letter: R, S, D, Z, T... */
  readonly state: string;
  readonly parentPid: number;
  readonly sessionId: number;
  /** Field 22: clock ticks after boot. With the pid it names a process for good. */
  readonly startTime: number;
}

/** Parses /proc/PID/stat; the name may hold blanks and parentheses. Undefined for anything else. */
export function parseProcessStat(text: string): ProcessStat | undefined {
  const open = text.indexOf(' (');
  const close = text.lastIndexOf(') ');
  if (open < 1 || close < open) return undefined;
  const fields = text.slice(close + 2).split(' ');
  const [state, parent, , session] = fields;
  const pid = Number(text.slice(0, open));
  const startTime = Number(fields[19]);
  if (state === undefined || !Number.isSafeInteger(pid) || !Number.isSafeInteger(startTime)) return undefined;
  return {
    pid,
    name: text.slice(open + 2, close),
    state,
    parentPid: Number(parent),
    sessionId: Number(session),
    startTime,
  };
}

/** The process's stat, or undefined when there is no such process. */
export function processStat(pid: number): ProcessStat | undefined {
  try {
    return parseProcessStat(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined;
  }
}

/** Start time of a process in clock ticks after boot (with the pid: its identity), or undefined when there is no such process. */
export function startTime(pid: number): number | undefined {
  return processStat(pid)?.startTime;
}

/**
 * Ends this process now: `exit` listeners run, Node's own tearing down (4 ms of freeing what the kernel frees anyway) does not. Everything must be written. Where it has started a process that outlives it, another one
 * takes down its memory (docs/decisions/0048-leaving.md).
 * Under a profiler it ends as usual, which writes the profile.
 */
export function exitNow(code: number): never {
  if (process.execArgv.some((flag) => /^--(cpu-prof|heap-prof|prof|inspect|log)/.test(flag))) process.exit(code);
  process.emit('exit', code);
  addon().leave(code);
  process.exit(code);
}

/** Path of the static helper, beside the addon. Errors: `not-found`, see `nativeDir`. */
export function helperPath(): string {
  return `${nativeDir()}/build/tare-helper`;
}

/** Path of the static resolver of names, beside the helper. Errors: `not-found`, see `nativeDir`. */
export function resolverPath(): string {
  return `${nativeDir()}/build/tare-resolver`;
}

/** How a program is put out of reach of writers. */
export type Sealing = 'clone' | 'memfd';

/**
 * A descriptor to execute `path` from, so that whoever reaches /proc/PID/exe of the process cannot write to the file
 * (CVE-2019-5736): a read-only clone of the file's mount, or where the kernel forbids that a sealed copy in memory.
 * Errors: `not-found`.
 */
export function sealedProgram(path: string, how?: Sealing): Fd {
  if (how !== 'memfd') {
    try {
      using tree = openTree(path, { clone: true });
      mountSetattr(tree, { set: MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV });
      return Fd.adopt(tree.release());
    } catch (error) {
      if (how === 'clone' || !(error instanceof SysError) || error.kind === 'not-found') throw error;
    }
  }
  return memfdSealed('tare-helper', readFileSync(path), { executable: true });
}

/** The program that keeps and forwards the networks of a user, sealed (`native/network`). Errors: `not-found` when it is not built. */
export function networkProgram(path = `${nativeDir()}/build/tare-network`): Fd {
  return sealedProgram(path);
}

let helper: Fd | undefined;

/** The sealed helper program, made once per process. Errors: `not-found` when build/tare-helper is missing. */
export function helperBinary(): Fd {
  if (helper === undefined) {
    try {
      helper = sealedProgram(helperPath());
    } catch (error) {
      if (!(error instanceof SysError) || error.kind !== 'not-found') throw error;
      throw new TareError(
        'not-found',
        `Cannot start the helper: ${helperPath()} is missing; run 'npm run build', or install tare again`,
        {
          cause: error,
        },
      );
    }
  }
  return helper;
}

/** A helper that is being started. */
export interface ComingHelper {
  /** Waits until what we open from then on is not open there, too: a lock that we take is ours alone. */
  separate(): void;
  /** Its pid, once it executes its program. Errors: by errno of the clone or the exec. */
  pid(): number;
}

/** What a program of ours is started as: the helper's monitor, the resolver, or what `networkProgram` is. */
export type HelperRole = 'monitor' | 'resolver' | 'network' | 'tie';

/**
 * Starts the helper as a detached process: a session of its own, no child of ours (no zombie, no SIGCHLD), all signals at
 * their defaults, cwd "/", no environment, 0 to 2 on /dev/null, `fds` as 3, 4, ... and nothing else open.
 *
 * That takes a millisecond, on a thread of its own: `fds` and the program must stay open until `pid()` returned, which whoever closes them has to call.
 * Errors: `not-found` when it is not built.
 */
export function startHelper(
  role: HelperRole,
  fds: readonly FdLike[],
  options: { program?: FdLike } = {},
): ComingHelper {
  const program = options.program ?? helperBinary();
  const name = `tare-${role}`;
  const handle = addon().spawn(numberOf(program), name, Int32Array.from(fds, numberOf));
  if (typeof handle === 'number') {
    check(handle, 'pthread_create', name);
    throw new TareError('internal', `Cannot start ${name}: no handle`);
  }
  return {
    separate: () => void check(addon().spawnSeparate(handle), 'futex', name),
    pid: () => check(addon().spawned(handle), 'execveat', name),
  };
}

/** `startHelper` and its pid: the caller keeps its own descriptors and may close them. */
export function spawnHelper(role: HelperRole, fds: readonly FdLike[], options: { program?: FdLike } = {}): number {
  return startHelper(role, fds, options).pid();
}

/** Replaces this process by a program (execve): same pid, standard streams and namespaces. Everything must be written; `path` must have been looked at, a failure ends the process. */
export function becomeProgram(path: string, argv: readonly string[], env: Readonly<Record<string, string>>): never {
  const execve = process.execve?.bind(process);
  if (execve === undefined) throw new TareError('unsupported', `Cannot become ${path}: Node 24 or newer is needed`);
  return execve(path, argv, env);
}
