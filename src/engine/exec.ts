import { openSync } from 'node:fs';
import { TareError, isKind } from '../base/errors.ts';
import { compileExec, type StdioMode } from '../runtime/compile/mod.ts';
import { openPlan } from '../runtime/launch.ts';
import { allCapabilities } from '../spec/capabilities.ts';
import type { Process, RuntimeConfig } from '../spec/runtime-config.ts';
import { isErrno } from '../sys/error.ts';
import { Fd } from '../sys/fd.ts';
import { openDirectory } from '../sys/open.ts';
import { planConstants } from '../sys/plan/schema.ts';
import { cgroupPlace } from './cgroups.ts';
import { connectMonitor } from './connect.ts';
import type { ExecOptions } from './create-options.ts';
import { type Engine, socketPath } from './engine.ts';
import { fileError } from './file-error.ts';
import { newId } from './ids.ts';
import { openInit } from './init-process.ts';
import { OutputQueue } from './output-queue.ts';
import { refusePaused } from './refuse-paused.ts';
import { containerDir, diskDir, readConfig, readRecord } from './record.ts';
import type { OutputHandler } from './running.ts';
import { seccompFilter } from './seccomp.ts';
import type { Identity } from './users.ts';

/** A process started in a running container. */
export interface ExecSession {
  readonly id: string;
  readonly pid: number;
  /** After all its output. Rejects with `unavailable` when the monitor died. */
  readonly exit: Promise<{ readonly code: number; readonly signal: number }>;
  onOutput(handler: OutputHandler): void;
  writeStdin(bytes: Uint8Array): Promise<void>;
  endStdin(): void;
  resize(rows: number, cols: number): void;
  kill(signal: number): Promise<void>;
  /** Lets go of the monitor; a process that is not detached loses its streams. */
  close(): void;
}

/** What happens to the streams: the process gets this process's own, they are relayed, or there are none. */
export type ExecIo = 'inherit' | 'pipe' | 'detach';

/**
 * Runs a process in a running container: same namespaces, cgroup, seccomp filter and capabilities as its first process.
 *
 * Errors: not-found; failed-precondition when it does not run; LaunchError when the process cannot start.
 */
export async function execContainer(
  engine: Engine,
  nameOrId: string,
  options: ExecOptions,
  io: ExecIo,
): Promise<ExecSession> {
  if (options.argv.length === 0) throw new TareError('invalid', 'Cannot exec: a command is needed');
  const { id, monitor } = await connectMonitor(engine, nameOrId, 'exec in', { greet: false });
  try {
    const record = readRecord(engine, id);
    refusePaused(record, 'exec in');
    const recorded = readConfig(engine, id);
    const config =
      record.secrets === undefined
        ? recorded
        : await (await import('./secrets/place.ts')).withSecretEnv(engine, record, recorded);
    using pidfd = openInit(engine, id);
    if (pidfd === undefined) throw ended(id);
    const process = await execProcess(config, options, pidfd.pid);
    const cgroup = cgroupPlace(engine, record);
    const stdio = stdioName(options, io);
    const compiled = compileExec(
      process,
      { config, cgroup },
      // Streams given with the request are not part of the Plan.
      {
        ...(stdio === 'fds' ? {} : { stdio, stdin: options.openStdin === true }),
        seccomp: await seccompFilter(engine, {
          ...config,
          process: options.privileged === true ? process : (config.process ?? process),
        }),
        id,
        ...(engine.rootless === undefined ? {} : { features: { mknod: false } }),
      },
    );
    using opened = openPlan(compiled, {
      stateDir: containerDir(engine, id),
      runDir: engine.socketsDir,
      logDir: diskDir(engine, record),
      cgroupRoot: cgroup.root,
      socketPath: socketPath(engine, id),
      pidfd: pidfd.fd,
    });
    using streams = new DisposableStack();
    // This connection carries nothing but the session.
    const output = new OutputQueue((on) => monitor.pauseOutput(on));
    const execId = newId().slice(0, 32);
    const session = await monitor
      .exec(opened.bytes, opened.fds, {
        id: execId,
        stdio: stdioModes[stdio],
        ...(io === 'inherit'
          ? {
              stdioFds: [
                options.openStdin === true ? 0 : streams.use(Fd.adopt(openSync('/dev/null', 'r'))),
                1,
                2,
              ] as const,
            }
          : {}),
        detached: io === 'detach',
        onStdout: (bytes) => output.push(1, bytes),
        onStderr: (bytes) => output.push(2, bytes),
      })
      .catch(async (error: unknown) => {
        // ESRCH: its first process is gone; ENODEV: its cgroup is.
        if (isErrno(error, 'ESRCH', 'ENODEV') || isKind(error, 'unavailable')) throw ended(id, error);
        // ENOMEM: nothing can be cloned into a pid namespace whose first process is dying.
        if (isErrno(error, 'ECHILD', 'ENOMEM')) throw killed(id, error);
        const { toLaunchError } = await import('./launch-error.ts');
        throw toLaunchError(error, compiled.ops);
      });
    const exit = session.exit.then(async (status) => {
      await output.drained();
      return status;
    });
    exit.catch(() => {});
    return {
      id: execId,
      pid: session.pid,
      exit,
      onOutput: (handler) => output.setHandler(handler),
      writeStdin: (bytes) => session.stdin(bytes),
      endStdin: () => void session.closeStdin().catch(() => {}),
      resize: (rows, cols) => session.resize(rows, cols),
      kill: (signal) => session.signal(signal),
      close: () => monitor.close(),
    };
  } catch (error) {
    monitor.close();
    // Its cgroup files went away while we opened them.
    if (!(error instanceof TareError) && codeOf(error) === 'ENOENT') throw ended(id, error);
    throw fileError(error, `exec in container ${id.slice(0, 12)}`);
  }
}

const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException).code;

const stdioModes = {
  pty: planConstants.STDIO_PTY,
  fds: planConstants.STDIO_FDS,
  null: planConstants.STDIO_NULL,
  pipes: planConstants.STDIO_PIPES,
};

function stdioName(options: ExecOptions, io: ExecIo): StdioMode {
  if (options.terminal === true) return 'pty';
  if (io === 'inherit') return 'fds';
  return io === 'detach' ? 'null' : 'pipes';
}

function ended(id: string, cause?: unknown): TareError {
  return new TareError('failed-precondition', `Cannot exec in container ${id.slice(0, 12)}: it has ended`, { cause });
}

function killed(id: string, cause: unknown): TareError {
  const why = 'it was killed before it started (the container is ending, or out of memory)';
  return new TareError('failed-precondition', `Cannot exec in container ${id.slice(0, 12)}: ${why}`, { cause });
}

/** The OCI process of an exec: the container's own with the user's changes. */
async function execProcess(config: RuntimeConfig, options: ExecOptions, pid: number): Promise<Process> {
  const base = config.process;
  if (base === undefined)
    throw new TareError('failed-precondition', 'Cannot exec: the container has no process section in its config');
  const user = options.user === undefined ? undefined : await userOf(pid, options.user);
  const env = new Map(base.env?.map((entry) => split(entry)) ?? []);
  if (user !== undefined) env.set('HOME', user.home);
  if (options.terminal === true && !env.has('TERM')) env.set('TERM', 'xterm');
  for (const entry of options.env ?? []) env.set(...split(entry));
  return {
    ...base,
    terminal: options.terminal === true,
    ...(options.terminalSize === undefined
      ? {}
      : { consoleSize: { height: options.terminalSize.rows, width: options.terminalSize.cols } }),
    args: options.argv,
    env: [...env].map(([key, value]) => `${key}=${value}`),
    cwd: options.workdir ?? base.cwd,
    ...(user === undefined
      ? {}
      : { user: { ...base.user, uid: user.uid, gid: user.gid, additionalGids: user.additionalGids } }),
    ...(options.privileged === true
      ? {
          capabilities: {
            bounding: allCapabilities,
            effective: allCapabilities,
            permitted: allCapabilities,
            inheritable: [],
            ambient: [],
          },
        }
      : {}),
  };
}

async function userOf(pid: number, spec: string): Promise<Identity> {
  const { resolveUser } = await import('./users.ts');
  using root = openDirectory(`/proc/${pid}/root`);
  return resolveUser(root, spec);
}

function split(entry: string): [string, string] {
  const at = entry.indexOf('=');
  return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
}
