/** Steps that a container's first process and one of exec have in common. */
import type { IdMapping, Linux, Process } from '../../spec/runtime-types.ts';
import { planConstants } from '../../sys/plan/schema.ts';
import type { Draft } from './draft.ts';
import type { ContainerCgroup, StdioMode } from './types.ts';

export const SIGKILL = 9;

const stdioModes: Readonly<Record<StdioMode, number>> = {
  null: planConstants.STDIO_NULL,
  pipes: planConstants.STDIO_PIPES,
  pty: planConstants.STDIO_PTY,
  fds: planConstants.STDIO_FDS,
};

/** Where the process's standard streams come from. */
export function compileStdio(draft: Draft, mode: StdioMode, stdin: boolean, once: boolean): void {
  const given = (which: 0 | 1 | 2): number => draft.fd(mode === 'fds' ? { kind: 'stdio', which } : undefined);
  draft.add({
    op: 'stdio',
    mode: stdioModes[mode],
    stdin: stdin ? 1 : 0,
    once: once ? 1 : 0,
    in: given(0),
    out: given(1),
    err: given(2),
  });
}

export function cgroupSlot(draft: Draft, cgroup: Pick<ContainerCgroup, 'tasks' | 'unified'>): number {
  return draft.fd(cgroup.unified === undefined ? undefined : { kind: 'cgroup-dir', path: cgroup.unified });
}

export function compileTasks(draft: Draft, cgroup: Pick<ContainerCgroup, 'tasks' | 'unified'>): void {
  for (const path of cgroup.tasks)
    draft.add({ op: 'cgroupTask', fd: draft.fd({ kind: 'cgroup-file', path, write: true }) });
}

/** Only lowering the score can fail, for want of CAP_SYS_RESOURCE; then it stays as the runtime's own. */
export function compileOomScore(draft: Draft, process: Process): void {
  if (process.oomScoreAdj !== undefined) draft.add({ op: 'oomScoreAdj', value: process.oomScoreAdj, optional: 1 });
}

/** The container's user may open its own /dev/stdout again, also in a user namespace. */
export function compileStdioOwner(draft: Draft, process: Process, linux: Linux | undefined): void {
  const [uid, gid] = [
    outside(linux?.uidMappings ?? [], process.user.uid),
    outside(linux?.gidMappings ?? [], process.user.gid),
  ];
  if (uid !== undefined && gid !== undefined) draft.add({ op: 'stdioOwner', uid, gid });
}

function outside(mappings: readonly IdMapping[], id: number): number | undefined {
  const mapping = mappings.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return mapping === undefined ? undefined : mapping.hostID + (id - mapping.containerID);
}

export function compileTerminal(draft: Draft, process: Process, console: boolean): void {
  const { height: rows, width: cols } = process.consoleSize ?? { height: 0, width: 0 };
  draft.add({ op: 'tty', rows, cols, console: console ? 1 : 0, uid: process.user.uid });
}
