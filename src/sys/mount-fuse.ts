import { type ChildProcess, spawn } from 'node:child_process';
import { constants, ftruncateSync, openSync, readdirSync, readSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { OverlayMount } from '../spec/mount.ts';
import { addon } from './addon.ts';
import { check, isErrno, sysErrorOf } from './error.ts';
import { Fd } from './fd.ts';
import { memfdCreate } from './memfd.ts';
import { fsconfig, fsconfigCreate, fsmount, fsopen } from './mount.ts';
import { splitOptions } from './mount-options.ts';
import { openPath } from './open.ts';

/** The process that answers for a FUSE mount. */
export interface FuseDaemon {
  /** Undefined when it has ended. Not another process's, whatever happens, until the next turn of the event loop. */
  readonly pid: number | undefined;
}

/** A mount whose files a process answers for, where one does. */
export type ServedMount = Fd & { readonly daemon?: FuseDaemon };

const DEVICE = '/dev/fuse';
const TYPE = 'fuse-overlayfs';
/** In the daemon. */
const DEVICE_FD = 3;
/** Opening the layers of an image takes it milliseconds, on a slow network file system seconds. */
const READY_MS = 20_000;
const MAX_STDERR_BYTES = 4096;
const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const F_ADD_SEALS = 1033;
const F_SEAL_SHRINK_GROW = 6;
/** execve(2) takes no longer argument (MAX_ARG_STRLEN). */
const MAX_ARGUMENT_BYTES = 128 * 1024 - 1;
/** Directories that are named by a descriptor of the daemon's. */
const MAX_HANDLES = 256;

/**
 * An overlay that fuse-overlayfs (`program`) serves, for where the kernel's own is refused. As with `mountDetached` the descriptor is the mount's only name; the daemon, in a session of its own and with no
 * descriptor of ours, ends when the last reference to the mount goes, so nothing is left whoever is killed when. When the daemon is killed, all calls on the mount fail (ENOTCONN).
 *
 * What is written is written through: others read the upper directory meanwhile, and a killed daemon loses nothing.
 *
 * Errors: `unsupported` without FUSE in this kernel, or for a colon in the path of the writable layer; `denied` where /dev/fuse is not for us, `unavailable` with what the program says when it fails.
 */
export async function mountFuseOverlay(mount: OverlayMount, program: string): Promise<ServedMount> {
  if (mount.lowers.length === 0) throw new TareError('invalid', 'Cannot mount overlay: it has no lower directory');
  if (mount.upper?.includes(':') === true)
    // It reads the resolved path as a list.
    throw new TareError(
      'unsupported',
      `Cannot mount overlay: ${TYPE} takes no writable layer with a colon in its path: ${mount.upper}`,
    );
  using handles = new Handles([...mount.lowers, ...[mount.upper, mount.work].filter((path) => path !== undefined)]);
  const options = daemonOptions(mount, handles);
  using device = openDevice();
  using tree = makeMount(mount, device);
  using complaints = memfdCreate('fuse-overlayfs-stderr');
  // It has as much room as this, and cannot use up our memory.
  ftruncateSync(complaints.number, MAX_STDERR_BYTES);
  check(addon().fcntl(complaints.number, F_ADD_SEALS, F_SEAL_SHRINK_GROW), 'fcntl(F_ADD_SEALS)');
  const stdio = ['ignore' as const, 'ignore' as const, complaints.number, device.number, ...handles.numbers];
  const argv = ['-f', '-o', options, `/dev/fd/${DEVICE_FD}`];
  // Detached: a session of its own, which no terminal signals.
  const daemon = inheritingNothing(() => spawn(program, argv, { stdio, cwd: '/', env: {}, detached: true }));
  // While it is open the mount waits for an answer, also from a daemon that is dead.
  device.close();
  await answers(daemon, tree, program, complaints);
  daemon.unref();
  const served: FuseDaemon = {
    get pid() {
      return daemon.exitCode === null && daemon.signalCode === null ? daemon.pid : undefined;
    },
  };
  return Object.assign(Fd.adopt(tree.release()), { daemon: served });
}

/** Runs `start` while no descriptor is passed on but those that are named. Who started us may have left us some: a daemon would keep them. */
function inheritingNothing<T>(start: () => T): T {
  const { fcntl } = addon();
  const passedOn = readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => fd > 2 && fcntl(fd, F_GETFD, 0) === 0);
  for (const fd of passedOn) fcntl(fd, F_SETFD, FD_CLOEXEC);
  try {
    return start();
  } finally {
    for (const fd of passedOn) fcntl(fd, F_SETFD, 0);
  }
}

function openDevice(): Fd {
  try {
    return Fd.adopt(openSync(DEVICE, constants.O_RDWR));
  } catch (error) {
    const cause = sysErrorOf(error);
    if (isErrno(cause, 'EACCES', 'EPERM'))
      throw new TareError(
        'denied',
        `Cannot use ${TYPE}: ${DEVICE} may not be opened; as root: chmod 0666 ${DEVICE} (udev does that elsewhere)`,
        { cause },
      );
    throw new TareError('unsupported', `Cannot use ${TYPE}: ${DEVICE} is not there; as root: modprobe fuse`, { cause });
  }
}

/** Nobody answers yet: who uses it waits. */
function makeMount({ options }: OverlayMount, device: Fd): Fd {
  using context = fsopen('fuse');
  fsconfig(context, 'source', TYPE);
  fsconfig(context, 'subtype', TYPE);
  fsconfig(context, 'fd', String(device.number));
  fsconfig(context, 'rootmode', '40000');
  fsconfig(context, 'user_id', '0');
  fsconfig(context, 'group_id', '0');
  fsconfig(context, 'allow_other');
  fsconfig(context, 'default_permissions');
  fsconfigCreate(context);
  return fsmount(context, splitOptions(options).attributes);
}

function daemonOptions({ lowers, upper, work, options }: OverlayMount, handles: Handles): string {
  const words = [`lowerdir=${lowers.map((lower) => handles.of(lower)).join(':')}`];
  if (upper !== undefined) words.push(`upperdir=${handles.of(upper)}`);
  if (work !== undefined) words.push(`workdir=${handles.of(work)}`);
  words.push('writeback=0');
  // The only other option of overlayfs that it knows.
  if (options.includes('volatile')) words.push('volatile');
  const text = words.join(',');
  if (Buffer.byteLength(text) > MAX_ARGUMENT_BYTES)
    throw new TareError('exhausted', `Cannot mount overlay: ${lowers.length} layers are too many for ${TYPE}`);
  return text;
}

/** Resolves when the mount works. */
async function answers(daemon: ChildProcess, tree: Fd, program: string, complaints: Fd): Promise<void> {
  const failed = Promise.withResolvers<never>();
  daemon.once('error', failed.reject);
  const timer = setTimeout(() => {
    failed.reject(new Error(`it did not answer in ${READY_MS / 1000} seconds`));
    daemon.kill('SIGKILL');
  }, READY_MS);
  try {
    // Waits in a thread of libuv's, and fails when the daemon ends.
    await Promise.race([statfs(`/proc/self/fd/${tree.number}`), failed.promise]);
  } catch (cause) {
    daemon.kill('SIGKILL');
    daemon.unref();
    const said = textOf(complaints);
    const why = said === '' ? (cause as Error).message : said;
    throw new TareError('unavailable', `Cannot mount overlay with ${program}: ${why}`, { cause });
  } finally {
    clearTimeout(timer);
    daemon.off('error', failed.reject);
    // One that could not be started, or that ended meanwhile, has been reported.
    daemon.on('error', () => {});
    failed.promise.catch(() => {});
  }
}

function textOf(complaints: Fd): string {
  const buffer = Buffer.alloc(MAX_STDERR_BYTES);
  readSync(complaints.number, buffer, 0, buffer.length, 0);
  const text = buffer.toString('utf8', 0, buffer.indexOf(0) < 0 ? buffer.length : buffer.indexOf(0));
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('unknown argument ignored'));
  return lines.join('; ');
}

/** Names for directories that the daemon reads without escapes: by a descriptor of its own where a path has characters that mean something to it. */
class Handles implements Disposable {
  readonly #fds: Fd[] = [];
  readonly #base: string;
  #baseName: string | undefined;

  constructor(paths: readonly string[]) {
    this.#base = paths.reduce(commonDirectory);
  }

  of(path: string): string {
    if (isPlain(path)) return path;
    const rest = path.slice(this.#base.length);
    if (rest.startsWith('/') && isPlain(rest)) return `${(this.#baseName ??= this.#open(this.#base))}${rest}`;
    return this.#open(path);
  }

  get numbers(): number[] {
    return this.#fds.map(({ number }) => number);
  }

  #open(path: string): string {
    if (this.#fds.length === MAX_HANDLES)
      throw new TareError('exhausted', `Cannot mount overlay: more than ${MAX_HANDLES} layers have special names`);
    this.#fds.push(openPath(path, { follow: true, directory: true }));
    return `/proc/self/fd/${DEVICE_FD + this.#fds.length}`;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds) fd.close();
  }
}

function isPlain(path: string): boolean {
  return !/[\\:,"]/.test(path);
}

function commonDirectory(path: string, other: string): string {
  let common = path;
  while (common !== '/' && !other.startsWith(`${common}/`)) common = dirname(common);
  return common;
}
