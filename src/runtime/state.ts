import {
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { syncDirectory, writeDurably } from '../base/durable-files.ts';
import { TareError } from '../base/errors.ts';
import { Fd, isLocked, lockWaitSync, SysError, tryLock } from '../sys/mod.ts';

/**
 * Where a container is in its life. The phase is an empty entry `phase.NAME` in the container's directory, changed by rename(2): a rename whose
 * source is gone lost a race.
 */
export type Phase = 'creating' | 'created' | 'initialized' | 'running' | 'exited' | 'removing';

const phases: ReadonlySet<string> = new Set<Phase>([
  'creating',
  'created',
  'initialized',
  'running',
  'exited',
  'removing',
]);

/** Whether a container in this phase has a monitor: one that lives, or died and left the phase behind. */
export function isServed(phase: Phase | undefined): boolean {
  return phase === 'running' || phase === 'initialized';
}

/** What a directory says together with its life lock: the only source of truth about a container. */
export interface LifeState {
  readonly phase: Phase;
  /** Somebody holds the life lock: a creator, a monitor, a remover. */
  readonly held: boolean;
}

/** How a container's first process ended. */
export interface ExitRecord {
  /** Exit status as a shell sees it: 128+n when killed by signal n. */
  readonly code: number;
  readonly signal: number;
  readonly oom: boolean;
  readonly startedAt: string;
  readonly finishedAt: string;
  /** Somebody asked for its end: such a container does not start again by itself, at boot neither. */
  readonly stopped?: boolean;
}

/**
 * Creates the directory of a new container with phase `creating` and returns its life lock, held. With `place` the directory is there and `dir` links to it.
 * Errors: already-exists.
 */
export function createStateDir(dir: string, place?: string): Fd {
  using gate = openGate(dir);
  lockWaitSync(gate, 'read');
  // The link first: nobody would find a place without one.
  if (place !== undefined) symlinkSync(place, dir);
  try {
    mkdirSync(place ?? dir, { mode: 0o700 });
  } catch (error) {
    if (place !== undefined) unlinkSync(dir);
    throw error;
  }
  let life: Fd | undefined;
  try {
    life = openLife(dir, true);
    if (!tryLock(life, 'write')) throw new TareError('internal', `Cannot create ${dir}: its life lock is held`);
    writeFileSync(join(dir, 'phase.creating'), '', { mode: 0o600 });
    return life;
  } catch (error) {
    life?.close();
    if (place !== undefined) rmSync(place, { recursive: true, force: true });
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Whether a directory has no phase and never will: its creator died first, or the place it links to is gone (a reboot). Not so while somebody is creating a
 * container: creators share a lock for the moment in which theirs has neither life lock nor phase.
 */
export function isDead(dir: string): boolean {
  using gate = openGate(dir);
  return tryLock(gate, 'write') && readPhase(dir) === undefined;
}

function openGate(dir: string): Fd {
  return Fd.adopt(openSync(join(dirname(dir), '.creating'), 'a+', 0o600));
}

/** The life lock file of a container directory, opened but not locked. */
export function openLife(dir: string, create = false): Fd {
  return Fd.adopt(openSync(`${dir}/life`, create ? 'wx+' : 'r+', 0o600));
}

/**
 * Takes the life lock of a container nobody holds.
 *
 * Errors: not-found when the directory is gone; failed-precondition when somebody holds it.
 */
export function takeLife(dir: string, what: string): Fd {
  const life = openLife(dir);
  if (tryLock(life, 'write')) return life;
  life.close();
  throw new TareError('failed-precondition', `Cannot ${what}: another process is starting, running or removing it`);
}

/** What a container that was prepared and never started is again: its exit record is that of an earlier run, if it has one. */
export function phaseBefore(dir: string): 'created' | 'exited' {
  return existsSync(join(dir, 'exit')) ? 'exited' : 'created';
}

/** Reads the phase entry. Undefined when the directory is gone or has none (a creation that died before its first entry). */
export function readPhase(dir: string): Phase | undefined {
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch {
    return undefined;
  }
  return phaseIn(names);
}

/** Whether this is its phase now: one look, cheaper than reading which it is. */
export function isInPhase(dir: string, phase: Phase): boolean {
  return existsSync(`${dir}/phase.${phase}`);
}

/** The phase among the entries of a container directory. */
export function phaseIn(names: readonly string[]): Phase | undefined {
  for (const name of names) {
    if (!name.startsWith('phase.')) continue;
    const phase = name.slice(6);
    if (phases.has(phase)) return phase as Phase;
  }
  return undefined;
}

/**
 * Phase and liveness in one consistent view: the phase is read again after the lock, so that an exit between the two is not mistaken for a dead monitor.
 */
export function readLifeState(dir: string): LifeState | undefined {
  for (let attempt = 0; attempt < 100; attempt++) {
    // Of most that are asked about this is the phase, and one look is cheaper than a list.
    const phase = isInPhase(dir, 'running') ? 'running' : readPhase(dir);
    const held = isLifeHeld(dir);
    if (held === undefined) return undefined;
    const again = phase !== undefined && isInPhase(dir, phase) ? phase : readPhase(dir);
    if (phase !== undefined && phase === again) return { phase, held };
    // Between the two names of a rename, or a creation in progress: look again.
    if (again === undefined && !held) return undefined;
  }
  return undefined;
}

/** Whether the life lock is held by anyone. Undefined: no such container. Errors: denied for another user's, and others by errno. */
export function isLifeHeld(dir: string): boolean | undefined {
  let life: Fd;
  try {
    life = openLife(dir);
  } catch (cause) {
    const { code, errno = 0 } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    const { kind, message } = new SysError('open', -errno, join(dir, 'life'));
    throw new TareError(
      kind,
      `Cannot look at container ${basename(dir).slice(0, 12)}: ${message.replace(/^Cannot /, '')}`,
      {
        cause,
      },
    );
  }
  try {
    return isLocked(life);
  } finally {
    life.close();
  }
}

/** Moves from one phase to the next. Errors: failed-precondition when the container is no longer in `from`. */
export function changePhase(dir: string, from: Phase, to: Phase): void {
  try {
    renameSync(join(dir, `phase.${from}`), join(dir, `phase.${to}`));
  } catch (cause) {
    throw new TareError(
      'failed-precondition',
      `Cannot move container from ${from} to ${to}: another process changed it`,
      { cause },
    );
  }
}

/** The exit record, when there is one. */
export function readExit(dir: string): ExitRecord | undefined {
  let text: string;
  try {
    text = readFileSync(join(dir, 'exit'), 'utf8');
  } catch {
    return undefined;
  }
  const json = JSON.parse(text) as ExitRecord;
  return {
    code: json.code,
    signal: json.signal,
    oom: json.oom,
    startedAt: json.startedAt,
    finishedAt: json.finishedAt,
    ...(json.stopped === true ? { stopped: true } : {}),
  };
}

/** Writes an exit record durably (used when the monitor could not). */
export function writeExit(dir: string, record: ExitRecord): void {
  writeDurably(join(dir, 'exit'), JSON.stringify(record));
  syncDirectory(dir);
}

/** The first process and its start time (clock ticks since boot), as the monitor saw it. */
export function readPid(dir: string): { pid: number; startTime: string } | undefined {
  try {
    const [pid, startTime] = readFileSync(pidFile(dir), 'utf8').trim().split(' ');
    return pid === undefined || startTime === undefined ? undefined : { pid: Number(pid), startTime };
  } catch {
    return undefined;
  }
}

/** When the first process was started, as far as is known. */
export function readStartedAt(dir: string): string | undefined {
  return statSync(pidFile(dir), { throwIfNoEntry: false })?.mtime.toISOString();
}

const pidFile = (dir: string): string => `${dir}/pid`;
