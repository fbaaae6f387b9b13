import { join } from 'node:path';
import { TareError, isKind } from '../base/errors.ts';
import { compile, describeStep, type MonitorSettings } from '../runtime/compile/mod.ts';
import { createCgroup, removeCgroup } from '../runtime/cgroup/mod.ts';
import { launch } from '../runtime/launch.ts';
import type { RuntimeConfig } from '../spec/runtime-config.ts';
import type { Mount } from '../spec/mount.ts';
import { HelperError } from '../sys/monitor/helper-error.ts';
import type { Fd } from '../sys/fd.ts';
import { mountDetached } from '../sys/mount-detached.ts';
import { containerCgroupPlan } from './cgroups.ts';
import { connection } from './connection.ts';
import type { Engine } from './engine.ts';
import { LOG_NAME, containerDir, type ContainerRecord } from './record.ts';
import { deleteContainer } from './remove.ts';
import type { Running } from './running.ts';
import { seccompFilter } from './seccomp.ts';
import { bindKind } from './source.ts';

/** A container that could not start; `exitCode` is what a shell expects (127 not found, 126 not executable, 125 anything else). */
export class LaunchError extends TareError {
  readonly exitCode: number;

  constructor(kind: TareError['kind'], message: string, exitCode: number, cause: unknown) {
    super(kind, message, { cause });
    this.exitCode = exitCode;
  }
}

export interface LaunchOptions {
  readonly attach: { readonly stdin: boolean; readonly output: boolean };
  /** The caller's death (its connection's end) kills and removes the container. */
  readonly owner: boolean;
  /** Nobody will stay to clean up: the monitor runs `tare cleanup`. */
  readonly detach: boolean;
  readonly warnings: readonly string[];
}

const EXEC_NOT_FOUND = 127;
const EXEC_DENIED = 126;
const ENGINE_FAILED = 125;
const ENOENT = 2;

/**
 * Starts a prepared container whose life lock the caller holds: cgroup, Plan, monitor. The lock goes over to the monitor.
 * On failure nothing is left but the container's directory, still locked by the caller.
 *
 * Errors: LaunchError.
 */
export async function launchContainer(
  engine: Engine,
  record: ContainerRecord,
  config: RuntimeConfig,
  rootfs: Mount | Fd,
  life: Fd,
  options: LaunchOptions,
): Promise<Running> {
  const dir = containerDir(engine, record.id);
  const cgroup = containerCgroupPlan(record.cgroupPath, config.linux?.resources);
  const monitor: MonitorSettings = {
    title: record.name,
    stdio: record.terminal ? 'pty' : 'pipes',
    stdin: record.openStdin,
    once: false,
    ...(record.log === undefined ? {} : { log: { name: LOG_NAME, maxBytes: record.log.maxBytes, maxFiles: record.log.maxFiles } }),
    stop: { signal: record.stopSignal, timeoutMs: record.stopTimeoutMs },
    ...(record.autoRemove || options.owner ? { onExit: { argv: [...engine.self, 'cleanup', record.id], env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'] } } : {}),
    autostart: true,
    owner: options.owner,
    volatile: record.autoRemove,
    listen: record.id,
  };
  const compiled = compile(config, {
    rootMountPoint: engine.mountPoint,
    cgroup,
    monitor,
    mountKinds: bindKind,
    seccomp: seccompFilter(engine),
    init: record.init,
  });
  using stack = new DisposableStack();
  const rootfsFd = 'kind' in rootfs ? stack.use(mountDetached(rootfs)) : rootfs;
  const warnings = [...options.warnings, ...cgroup.warnings, ...createCgroup(cgroup)];
  let started: Awaited<ReturnType<typeof launch>> | undefined;
  try {
    started = launch(compiled, { stateDir: dir, runDir: engine.socketsDir, logDir: dir, cgroupRoot: cgroup.root, rootfs: rootfsFd, life });
    const client = started;
    if (!options.detach) void client.take(true);
    if (options.attach.output) client.attach({ stdin: options.attach.stdin, stdout: true, stderr: true });
    const running = connection(client, {
      id: record.id,
      name: record.name,
      pid: 0,
      warnings,
      ...(record.autoRemove || options.owner ? { cleanUp: () => deleteContainer(engine, record.id) } : {}),
    });
    const pid = await client.started;
    return Object.assign(running, { pid });
  } catch (error) {
    started?.close();
    await removeCgroupOf(cgroup);
    throw toLaunchError(error, compiled.ops);
  }
}

async function removeCgroupOf(cgroup: Parameters<typeof removeCgroup>[0]): Promise<void> {
  try {
    removeCgroup(cgroup);
  } catch {
    // The monitor removes it as well; what is left is collected with the container.
  }
  await Promise.resolve();
}

/** Says what failed in the user's terms. */
function toLaunchError(error: unknown, ops: Parameters<typeof describeStep>[0]): LaunchError {
  if (error instanceof LaunchError) return error;
  if (error instanceof HelperError) {
    const isExec = error.step !== undefined && ops[error.step]?.op === 'exec';
    const code = !isExec ? ENGINE_FAILED : error.errno === ENOENT ? EXEC_NOT_FOUND : EXEC_DENIED;
    return new LaunchError(error.kind, describeStep(ops, error.step ?? 0xffffffff, error.errno, error.text), code, error);
  }
  const kind = error instanceof TareError ? error.kind : 'internal';
  const message = isKind(error, 'unavailable') ? 'Cannot start container: its monitor ended before it started' : error instanceof Error ? error.message : String(error);
  return new LaunchError(kind, message, ENGINE_FAILED, error);
}

/** The socket path of a container's monitor. */
export function socketPath(engine: Engine, id: string): string {
  return join(engine.socketsDir, id);
}
