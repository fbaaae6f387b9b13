import type { IoPriority, MemoryPolicy, Scheduler } from '../../spec/runtime-types.ts';
import { type Draft, invalid } from './draft.ts';

const policies: Readonly<Record<string, number>> = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
};
const schedulerFlags: Readonly<Record<string, number>> = {
  SCHED_FLAG_RESET_ON_FORK: 0x1,
  SCHED_FLAG_RECLAIM: 0x2,
  SCHED_FLAG_DL_OVERRUN: 0x4,
  SCHED_FLAG_KEEP_POLICY: 0x8,
  SCHED_FLAG_KEEP_PARAMS: 0x10,
  SCHED_FLAG_UTIL_CLAMP_MIN: 0x20,
  SCHED_FLAG_UTIL_CLAMP_MAX: 0x40,
};
const ioClasses: Readonly<Record<IoPriority['class'], number>> = {
  IOPRIO_CLASS_RT: 1,
  IOPRIO_CLASS_BE: 2,
  IOPRIO_CLASS_IDLE: 3,
};
const IOPRIO_CLASS_SHIFT = 13;

const memoryModes: Readonly<Record<string, number>> = {
  MPOL_DEFAULT: 0,
  MPOL_PREFERRED: 1,
  MPOL_BIND: 2,
  MPOL_INTERLEAVE: 3,
  MPOL_LOCAL: 4,
  MPOL_PREFERRED_MANY: 5,
  MPOL_WEIGHTED_INTERLEAVE: 6,
};
const memoryFlags: Readonly<Record<string, number>> = {
  MPOL_F_NUMA_BALANCING: 1 << 13,
  MPOL_F_RELATIVE_NODES: 1 << 14,
  MPOL_F_STATIC_NODES: 1 << 15,
};
const MAX_NODE = 1023;

function named(table: Readonly<Record<string, number>>, name: string, what: string): number {
  const value = Object.hasOwn(table, name) ? table[name] : undefined;
  if (value === undefined) throw invalid(what, `there is no ${JSON.stringify(name.slice(0, 40))}`);
  return value;
}

/** sched_setattr(2). Errors: `invalid` for an unknown policy or flag. */
export function compileScheduler(draft: Draft, scheduler: Scheduler): void {
  draft.add({
    op: 'scheduler',
    policy: named(policies, scheduler.policy, 'process.scheduler.policy'),
    flags: (scheduler.flags ?? []).reduce(
      (bits, flag) => bits | named(schedulerFlags, flag, 'process.scheduler.flags'),
      0,
    ),
    nice: scheduler.nice ?? 0,
    priority: scheduler.priority ?? 0,
    runtime: BigInt(scheduler.runtime ?? 0),
    deadline: BigInt(scheduler.deadline ?? 0),
    period: BigInt(scheduler.period ?? 0),
  });
}

/** The value of ioprio_set(2). */
export function ioPriorityValue(priority: IoPriority): number {
  return (ioClasses[priority.class] << IOPRIO_CLASS_SHIFT) | priority.priority;
}

/** set_mempolicy(2). Errors: `invalid` for an unknown mode or flag, or a node list that is none. */
export function compileMemoryPolicy(draft: Draft, policy: MemoryPolicy): void {
  draft.add({
    op: 'memoryPolicy',
    mode: named(memoryModes, policy.mode, 'linux.memoryPolicy.mode'),
    flags: (policy.flags ?? []).reduce((bits, flag) => bits | named(memoryFlags, flag, 'linux.memoryPolicy.flags'), 0),
    nodes: nodeMask(policy.nodes ?? ''),
  });
}

/** "0-3,7" as a little-endian bit mask in whole 64-bit words; empty for no nodes. */
function nodeMask(list: string): Uint8Array {
  const nodes: number[] = [];
  for (const part of list === '' ? [] : list.split(',')) {
    const range = /^([0-9]{1,4})(?:-([0-9]{1,4}))?$/.exec(part.trim());
    const first = Number(range?.[1] ?? NaN);
    const last = Number(range?.[2] ?? first);
    if (!(first <= last && last <= MAX_NODE))
      throw invalid('linux.memoryPolicy.nodes', `${JSON.stringify(list.slice(0, 80))} is no list of nodes`);
    for (let node = first; node <= last; node++) nodes.push(node);
  }
  const words = nodes.length === 0 ? 0 : Math.floor(Math.max(...nodes) / 64) + 1;
  const mask = new Uint8Array(words * 8);
  for (const node of nodes) mask[node >> 3] = (mask[node >> 3] ?? 0) | (1 << (node & 7));
  return mask;
}
