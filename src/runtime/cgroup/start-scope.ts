import { mkdirSync } from 'node:fs';
import { monotonicMs, sleep } from '../../base/clock.ts';
import { TareError } from '../../base/errors.ts';
import { DBusError } from '../../sys/dbus/connection.ts';
import { codeOf, readKernelFile, writeKernelFile } from './files.ts';
import { SCOPE_MONITOR, type ScopePlace } from './scope-path.ts';
import { type ManagerAddress, SystemdManager, type UnitProperty } from './systemd-manager.ts';

/** What a scope is made with. */
export interface ScopeRequest extends ScopePlace, ManagerAddress {
  /** Where cgroup v2 is mounted. */
  readonly root: string;
  readonly description: string;
  /** The container's monitor: a scope without a process ends. */
  readonly pid: number;
  /** So long systemd waits after SIGTERM when it stops the scope. */
  readonly stopTimeoutMs: number;
}

/** The scope of a container's earlier run ends in this time, or takes the new monitor in. */
const ENDING_MS = 20_000;
const RETRY_MS = 10;
const NO_LIMIT = 2n ** 64n - 1n;

/**
 * Has systemd make a container's scope around its monitor, which is then in `monitor` below it, with all controllers passed on below the scope: where a cgroup for the container can be
 * made. Killed in between, nothing stays: the monitor leaves when its starter dies, and systemd removes the unit of a scope without processes.
 *
 * Errors: DBusError for what systemd refuses; failed-precondition when the scope could not be started; unavailable, deadline.
 */
export async function startScope(request: ScopeRequest): Promise<void> {
  using systemd = await SystemdManager.open(request);
  const job = await startOrJoin(systemd, request);
  if (job !== undefined) await systemd.finished(request.unit, job);
  divide(request);
}

/** The job to wait for. Undefined when the scope of the last run is still there, for somebody in it is not done yet, and took the monitor in. */
async function startOrJoin(systemd: SystemdManager, request: ScopeRequest): Promise<string | undefined> {
  const end = monotonicMs() + ENDING_MS;
  for (;;) {
    try {
      return await systemd.startTransient(request.unit, scopeProperties(request));
    } catch (error) {
      if (!unitExists(error) || monotonicMs() > end) throw error;
    }
    try {
      await systemd.attach(request.unit, `/${SCOPE_MONITOR}`, [request.pid]);
      return undefined;
    } catch (error) {
      // It has just ended.
      if (!(error instanceof DBusError)) throw error;
      await sleep(RETRY_MS);
    }
  }
}

/** Whether systemd refused to make a unit because there is one of that name. */
export function unitExists(error: unknown): boolean {
  return error instanceof DBusError && error.errorName === 'org.freedesktop.systemd1.UnitExists';
}

function scopeProperties({ description, slice, pid, stopTimeoutMs }: ScopeRequest): UnitProperty[] {
  return [
    ['Description', 's', description],
    ['Slice', 's', slice],
    ['PIDs', 'au', [pid]],
    // Below the scope the cgroups are ours: systemd neither changes nor removes them while it lives (systemd's CGROUP_DELEGATION).
    ['Delegate', 'b', true],
    // A scope that failed is forgotten like one that ended: nobody has to reset it.
    ['CollectMode', 's', 'inactive-or-failed'],
    // The default, a share of the machine's, would be a second limit beside --pids-limit.
    ['TasksMax', 't', NO_LIMIT],
    ['TimeoutStopUSec', 't', BigInt(stopTimeoutMs) * 1000n],
  ];
}

/** cgroup v2 passes controllers on below a cgroup only while no process is in it itself. */
function divide({ root, path, pid, unit }: ScopeRequest): void {
  const dir = `${root}${path}`;
  const own = /^0::(.*)$/m.exec(readKernelFile(`/proc/${pid}/cgroup`) ?? '')?.[1];
  if (own !== path && own !== `${path}/${SCOPE_MONITOR}`)
    throw new TareError(
      'failed-precondition',
      `Cannot use scope ${unit}: its cgroup is ${own ?? 'gone'}, not ${path}; remove the container and create it again`,
    );
  try {
    try {
      mkdirSync(`${dir}/${SCOPE_MONITOR}`);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    writeKernelFile(`${dir}/${SCOPE_MONITOR}/cgroup.procs`, String(pid));
    const controllers = (readKernelFile(`${dir}/cgroup.controllers`) ?? '').split(/\s+/).filter(Boolean);
    if (controllers.length > 0)
      writeKernelFile(`${dir}/cgroup.subtree_control`, controllers.map((name) => `+${name}`).join(' '));
  } catch (cause) {
    throw new TareError('failed-precondition', `Cannot divide scope ${unit} (${dir}): ${String(cause)}`, { cause });
  }
}
