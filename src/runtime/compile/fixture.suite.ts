/** For tests: a small valid container, and shortcuts to its Plan. */
import type { Linux, Mount, Process, RuntimeConfig } from '../../spec/runtime-types.ts';
import type { Op, OpName } from '../../sys/plan/schema.ts';
import { compile } from './compile.ts';
import type { CompileOptions, CompiledPlan, ContainerCgroup, MonitorSettings } from './types.ts';

export const v1Cgroup: ContainerCgroup = {
  root: '/sys/fs/cgroup',
  dirs: ['memory/tare/c1', 'cpu,cpuacct/tare/c1', 'systemd/tare/c1', 'unified/tare/c1'],
  tasks: ['memory/tare/c1/tasks', 'cpu,cpuacct/tare/c1/tasks', 'systemd/tare/c1/tasks'],
  leave: ['systemd/tare/tasks'],
  unified: 'unified/tare/c1',
  kill: 'unified/tare/c1/cgroup.kill',
  procs: 'unified/tare/c1/cgroup.procs',
  freezer: '',
  oom: { file: 'memory/tare/c1/memory.oom_control', key: 'oom_kill' },
};

export const v2Cgroup: ContainerCgroup = { ...v1Cgroup, dirs: ['tare/c1'], tasks: [], leave: [], unified: 'tare/c1' };

export const noCgroup: ContainerCgroup = {
  root: '/sys/fs/cgroup',
  dirs: [],
  tasks: [],
  leave: [],
  kill: '',
  procs: '',
  freezer: '',
};

export const monitor: MonitorSettings = {
  title: 'web',
  stdio: 'pipes',
  stdin: false,
  once: false,
  stop: { signal: 15, timeoutMs: 10_000 },
  autostart: true,
  owner: false,
  volatile: false,
  listen: 'c1',
};

export const options: CompileOptions = {
  rootMountPoint: '/run/tare/root',
  cgroup: v1Cgroup,
  monitor,
  seccomp: () => new Uint8Array(8),
  mountKinds: (source) => (source.endsWith('.file') ? 'file' : 'directory'),
  init: false,
};

export const baseProcess: Process = { user: { uid: 0, gid: 0 }, args: ['true'], env: ['PATH=/bin'], cwd: '/' };

const baseLinux: Linux = {
  namespaces: [
    { type: 'mount' },
    { type: 'pid' },
    { type: 'ipc' },
    { type: 'uts' },
    { type: 'cgroup' },
    { type: 'network' },
  ],
};

export interface Changes {
  readonly process?: Partial<Process>;
  readonly linux?: Partial<Linux>;
  readonly mounts?: readonly Mount[];
  readonly config?: Partial<RuntimeConfig>;
}

export function configWith(changes: Changes = {}): RuntimeConfig {
  return {
    ociVersion: '1.2.0',
    process: { ...baseProcess, ...changes.process },
    root: { path: 'rootfs' },
    mounts: changes.mounts ?? [],
    linux: { ...baseLinux, ...changes.linux },
    ...changes.config,
  };
}

export function plan(changes: Changes = {}, more: Partial<CompileOptions> = {}): CompiledPlan {
  return compile(configWith(changes), { ...options, ...more });
}

/** The operations of one kind, in order. */
export function opsOf<N extends OpName>(compiled: CompiledPlan, name: N): Extract<Op, { op: N }>[] {
  return compiled.ops.filter((op): op is Extract<Op, { op: N }> => op.op === name);
}

/** Position of the first operation of a kind (and of a property, when given); -1: there is none. */
export function at(compiled: CompiledPlan, name: OpName, properties: object = {}): number {
  return compiled.ops.findIndex(
    (op) =>
      op.op === name &&
      Object.entries(properties).every(([key, value]) => (op as unknown as Record<string, unknown>)[key] === value),
  );
}
