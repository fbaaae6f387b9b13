import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { TareError } from '../base/errors.ts';
import { cgroupProcesses } from '../runtime/cgroup/mod.ts';
import { type ProcessDetails, processDetails } from '../runtime/process-details.ts';
import { readLifeState, readPid } from '../runtime/state.ts';
import { cgroupPlace } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { idNames, idsIn } from './id-names.ts';
import { resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';
import { containerDir, readRecord } from './record.ts';
import { chosenTopColumns, topColumns, type TopView } from './top-columns.ts';

/** The processes of a container, as a table. */
export interface ProcessTable {
  /** Descriptors, like `pid`. */
  readonly columns: readonly string[];
  readonly headings: readonly string[];
  /** One row for each process, a cell for each column; control characters are as the processes have them. */
  readonly rows: readonly (readonly string[])[];
}

/**
 * The processes of a running (or paused) container, oldest first, read from /proc: nothing is run, neither in it nor here. `words`: podman's descriptors, or the usual options of
 * ps; process ids, users and groups are the container's own.
 *
 * Errors: not-found; failed-precondition when it does not run; invalid for a descriptor that is none.
 */
export async function containerProcesses(
  engine: Engine,
  nameOrId: string,
  words: readonly string[] = [],
): Promise<ProcessTable> {
  const columns = chosenTopColumns(words);
  const id = resolveContainer(engine, nameOrId);
  await reconcile(engine, id);
  const dir = containerDir(engine, id);
  const state = readLifeState(dir);
  const first = readPid(dir)?.pid;
  if (state?.phase !== 'running' || first === undefined) {
    throw new TareError(
      'failed-precondition',
      `Cannot list the processes of container ${nameOrId}: it is ${state?.phase ?? 'gone'}, not running`,
    );
  }
  const record = readRecord(engine, id);
  const processes = cgroupProcesses(cgroupPlace(engine, record))
    .flatMap((pid) => processDetails(pid, record.cgroupPath) ?? [])
    .sort((a, b) => a.startSeconds - b.startSeconds || a.pid - b.pid);
  const view = viewOf(first, processes);
  const chosen = columns.flatMap((name) => topColumns[name] ?? []);
  return {
    columns,
    headings: chosen.map(({ heading }) => heading),
    rows: processes.map((process) => chosen.map((column) => column.text(process, view))),
  };
}

function viewOf(first: number, processes: readonly ProcessDetails[]): TopView {
  const init = processes.find(({ pid }) => pid === first);
  const level = init === undefined ? 0 : init.nsPids.length - 1;
  const pids = new Map(processes.map(({ pid, nsPids }) => [pid, nsPids[level] ?? 0]));
  const inside = idNames(`/proc/${first}/root`);
  const outside = idNames('/');
  const uid = idsIn(first, 'uid_map');
  const gid = idsIn(first, 'gid_map');
  const uptimeSeconds = Number.parseFloat(readFileSync('/proc/uptime', 'latin1'));
  return {
    user: (id) => inside.user(uid(id)),
    group: (id) => inside.group(gid(id)),
    hostUser: outside.user,
    hostGroup: outside.group,
    level,
    pidOf: (pid) => pids.get(pid) ?? 0,
    uptimeSeconds,
    bootMs: Date.now() - uptimeSeconds * 1000,
    memoryKib: totalmem() / 1024,
  };
}
