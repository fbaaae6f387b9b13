import { mkdirSync } from 'node:fs';
import { monotonicMs, sleep } from '../../base/clock.ts';
import { TareError } from '../../base/errors.ts';
import { DBusConnection, DBusError } from '../../sys/dbus/connection.ts';
import type { Value } from '../../sys/dbus/marshal.ts';
import type { Message } from '../../sys/dbus/message.ts';
import { codeOf, readKernelFile, writeKernelFile } from './files.ts';
import { SCOPE_MONITOR, type ScopePlace } from './scope-path.ts';

/** What a scope is made with. */
export interface ScopeRequest extends ScopePlace {
  /** The manager's private socket. */
  readonly socket: string;
  /** Whose manager that is, or one that may talk to it; in the initial user namespace. */
  readonly uid: number;
  /** Where cgroup v2 is mounted. */
  readonly root: string;
  readonly description: string;
  /** The container's monitor: a scope without a process ends. */
  readonly pid: number;
  /** So long systemd waits after SIGTERM when it stops the scope. */
  readonly stopTimeoutMs: number;
}

/** A machine that boots is busy. */
const TIMEOUT_MS = 30_000;
/** The scope of a container's earlier run ends in this time, or takes the new monitor in. */
const ENDING_MS = 20_000;
const RETRY_MS = 10;
const NO_LIMIT = 2n ** 64n - 1n;
const MANAGER = { path: '/org/freedesktop/systemd1', interface: 'org.freedesktop.systemd1.Manager' } as const;
const errors = 'org.freedesktop.systemd1.';

/**
 * Has systemd make a container's scope around its monitor, which is then in `monitor` below it, with all controllers passed on below the scope: where a cgroup for the container can be
 * made. Killed in between, nothing stays: the monitor leaves when its starter dies, and systemd removes the unit of a scope without processes.
 *
 * Errors: DBusError for what systemd refuses; failed-precondition when the scope could not be started; unavailable, deadline.
 */
export async function startScope(request: ScopeRequest): Promise<void> {
  // The job may be over before we are told which one it is.
  const jobs = new Map<string, PromiseWithResolvers<string>>();
  const settled = (job: string): PromiseWithResolvers<string> => {
    const known = jobs.get(job) ?? Promise.withResolvers<string>();
    jobs.set(job, known);
    return known;
  };
  const onSignal = (signal: Message): void => {
    if (signal.member !== 'JobRemoved' || signal.interface !== MANAGER.interface) return;
    const [, job, , result] = signal.values();
    if (typeof job === 'string' && typeof result === 'string') settled(job).resolve(result);
  };
  using systemd = await DBusConnection.open(request.socket, request.uid, { timeoutMs: TIMEOUT_MS, onSignal });
  const job = await startOrJoin(systemd, request);
  const result = job === undefined ? 'done' : await Promise.race([settled(job).promise, systemd.lost]);
  if (result !== 'done')
    throw new TareError(
      'failed-precondition',
      `Cannot start scope ${request.unit}: systemd says "${result}" (journalctl -u ${request.unit})`,
    );
  divide(request);
}

/** The job to wait for. Undefined when the scope of the last run is still there, for somebody in it is not done yet, and took the monitor in. */
async function startOrJoin(systemd: DBusConnection, request: ScopeRequest): Promise<string | undefined> {
  const end = monotonicMs() + ENDING_MS;
  for (;;) {
    try {
      const [job] = await systemd.call(startCall(request));
      if (typeof job !== 'string') throw new TareError('internal', 'Cannot start scope: systemd told no job');
      return job;
    } catch (error) {
      if (!(error instanceof DBusError) || error.errorName !== `${errors}UnitExists` || monotonicMs() > end)
        throw error;
    }
    try {
      await systemd.call({
        ...MANAGER,
        member: 'AttachProcessesToUnit',
        signature: 'ssau',
        values: [request.unit, `/${SCOPE_MONITOR}`, [request.pid]],
      });
      return undefined;
    } catch (error) {
      // It has just ended.
      if (!(error instanceof DBusError)) throw error;
      await sleep(RETRY_MS);
    }
  }
}

/** Has systemd stop a scope. Errors: DBusError when it knows none of that name; unavailable, deadline. */
export async function stopScope(socket: string, uid: number, unit: string): Promise<void> {
  using systemd = await DBusConnection.open(socket, uid, { timeoutMs: TIMEOUT_MS });
  await systemd.call({ ...MANAGER, member: 'StopUnit', signature: 'ss', values: [unit, 'replace'] });
}

function startCall(request: ScopeRequest): Parameters<DBusConnection['call']>[0] {
  const property = (name: string, signature: string, value: Value): Value => [name, { signature, value }];
  const properties = [
    property('Description', 's', request.description),
    property('Slice', 's', request.slice),
    property('PIDs', 'au', [request.pid]),
    // Below the scope the cgroups are ours: systemd neither changes nor removes them while it lives (systemd's CGROUP_DELEGATION).
    property('Delegate', 'b', true),
    // A scope that failed is forgotten like one that ended: nobody has to reset it.
    property('CollectMode', 's', 'inactive-or-failed'),
    // The default, a share of the machine's, would be a second limit beside --pids-limit.
    property('TasksMax', 't', NO_LIMIT),
    property('TimeoutStopUSec', 't', BigInt(request.stopTimeoutMs) * 1000n),
  ];
  const values = [request.unit, 'fail', properties, []];
  return { ...MANAGER, member: 'StartTransientUnit', signature: 'ssa(sv)a(sa(sv))', values };
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
