import { keyedNumber, readKernelFile } from './files.ts';
import type { CgroupPlan } from './plan.ts';

/** What a container uses and may use. A part is absent where no controller counts it. */
export interface CgroupStats {
  readonly cpu?: {
    readonly usageUsec: number;
    readonly userUsec: number;
    readonly systemUsec: number;
    /** Periods in which the quota was used up, and the time lost so. Absent without a CPU controller. */
    readonly throttledPeriods?: number;
    readonly throttledUsec?: number;
  };
  readonly memory?: {
    readonly usageBytes: number;
    /** Usage without file pages that could be dropped at once: what docker and podman show. */
    readonly workingSetBytes: number;
    /** Absent: no limit. */
    readonly limitBytes?: number;
    readonly oomKills: number;
  };
  readonly pids?: {
    readonly current: number;
    /** Absent: no limit. */
    readonly limit?: number;
  };
  readonly io?: {
    readonly readBytes: number;
    readonly writeBytes: number;
    readonly readOps: number;
    readonly writeOps: number;
  };
}

/** The v1 kernel's "no limit" is the largest multiple of a page. */
const V1_UNLIMITED = 2 ** 62;

/** Reads the counters of a container's cgroup, of either version. Empty when the cgroup is gone. Errors: Node's, for a file that cannot be read. */
export function cgroupStats(plan: Pick<CgroupPlan, 'root' | 'controllers' | 'unified'>): CgroupStats {
  const read = readerOf(plan);
  const cpu = readCpu(plan, read);
  const memory = readMemory(read);
  const pids = number(read('pids', 'pids.current'));
  const limit = number(read('pids', 'pids.max'));
  const io = readIo(read);
  return {
    ...(cpu && { cpu }),
    ...(memory && { memory }),
    ...(pids === undefined ? {} : { pids: { current: pids, ...(limit === undefined ? {} : { limit }) } }),
    ...(io && { io }),
  };
}

/** The part of `cgroupStats` that people watch, with half as many files to read. */
export function cgroupUsage(plan: Pick<CgroupPlan, 'root' | 'controllers' | 'unified'>): CgroupUsage {
  const read = readerOf(plan);
  const cpu = readCpuTime(plan, read);
  const memory = readMemoryUse(read);
  const pids = number(read('pids', 'pids.current'));
  const io = readIoBytes(read);
  return {
    ...(cpu === undefined ? {} : { cpu }),
    ...(memory === undefined ? {} : { memory }),
    ...(pids === undefined ? {} : { pids: { current: pids } }),
    ...(io === undefined ? {} : { io }),
  };
}

/** See `CgroupStats`. */
export interface CgroupUsage {
  readonly cpu?: { readonly usageUsec: number };
  readonly memory?: { readonly usageBytes: number; readonly workingSetBytes: number; readonly limitBytes?: number };
  readonly pids?: { readonly current: number };
  readonly io?: { readonly readBytes: number; readonly writeBytes: number };
}

function readCpuTime(plan: Pick<CgroupPlan, 'root' | 'unified'>, read: Read): CgroupUsage['cpu'] {
  const v1 = divided(number(read('cpuacct', 'cpuacct.usage')), 1000);
  if (v1 !== undefined) return { usageUsec: v1 };
  const v2 = plan.unified === undefined ? undefined : readKernelFile(`${plan.root}/${plan.unified}/cpu.stat`);
  const usage = keyedNumber(v2, 'usage_usec');
  return usage === undefined ? undefined : { usageUsec: usage };
}

function readMemoryUse(read: Read): CgroupUsage['memory'] {
  const v2 = number(read('memory', 'memory.current'));
  const usage = v2 ?? number(read('memory', 'memory.usage_in_bytes'));
  if (usage === undefined) return undefined;
  const stat = read('memory', 'memory.stat');
  const inactive = keyedNumber(stat, v2 === undefined ? 'total_inactive_file' : 'inactive_file') ?? 0;
  const limit = number(read('memory', v2 === undefined ? 'memory.limit_in_bytes' : 'memory.max'));
  return {
    usageBytes: usage,
    workingSetBytes: Math.max(0, usage - inactive),
    ...(limit === undefined || limit >= V1_UNLIMITED ? {} : { limitBytes: limit }),
  };
}

function readIoBytes(read: Read): CgroupUsage['io'] {
  const v2 = read('io', 'io.stat');
  if (v2 !== undefined) return { readBytes: sumOfKey(v2, 'rbytes'), writeBytes: sumOfKey(v2, 'wbytes') };
  const bytes = read('blkio', 'blkio.throttle.io_service_bytes_recursive');
  return bytes === undefined
    ? undefined
    : { readBytes: sumOfWord(bytes, 'Read'), writeBytes: sumOfWord(bytes, 'Write') };
}

function sumOfKey(text: string, key: string): number {
  return [...text.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce((total, match) => total + Number(match[1]), 0);
}

function sumOfWord(text: string, word: string): number {
  return [...text.matchAll(new RegExp(`^\\d+:\\d+ ${word} (\\d+)$`, 'gm'))].reduce(
    (total, match) => total + Number(match[1]),
    0,
  );
}

function readerOf(plan: Pick<CgroupPlan, 'root' | 'controllers'>): Read {
  return (controller, file) => {
    const dir = plan.controllers[controller];
    return dir === undefined ? undefined : readKernelFile(`${plan.root}/${dir}/${file}`);
  };
}

type Read = (controller: string, file: string) => string | undefined;

/** "max" and absent files are undefined. */
function number(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

function readCpu(plan: Pick<CgroupPlan, 'root' | 'controllers' | 'unified'>, read: Read): CgroupStats['cpu'] {
  const throttling = read('cpu', 'cpu.stat');
  const periods = keyedNumber(throttling, 'nr_throttled');
  const lost = keyedNumber(throttling, 'throttled_usec') ?? divided(keyedNumber(throttling, 'throttled_time'), 1000);
  const throttled = {
    ...(periods === undefined ? {} : { throttledPeriods: periods }),
    ...(lost === undefined ? {} : { throttledUsec: lost }),
  };
  // Every v2 cgroup counts time, also in a tree without controllers.
  const v2 = plan.unified === undefined ? undefined : readKernelFile(`${plan.root}/${plan.unified}/cpu.stat`);
  const usage = keyedNumber(v2, 'usage_usec');
  if (usage !== undefined)
    return {
      usageUsec: usage,
      userUsec: keyedNumber(v2, 'user_usec') ?? 0,
      systemUsec: keyedNumber(v2, 'system_usec') ?? 0,
      ...throttled,
    };
  const total = divided(number(read('cpuacct', 'cpuacct.usage')), 1000);
  if (total === undefined) return undefined;
  return {
    usageUsec: total,
    userUsec: divided(number(read('cpuacct', 'cpuacct.usage_user')), 1000) ?? 0,
    systemUsec: divided(number(read('cpuacct', 'cpuacct.usage_sys')), 1000) ?? 0,
    ...throttled,
  };
}

const divided = (value: number | undefined, by: number): number | undefined =>
  value === undefined ? undefined : Math.floor(value / by);

function readMemory(read: Read): CgroupStats['memory'] {
  const use = readMemoryUse(read);
  if (use === undefined) return undefined;
  const kills = keyedNumber(read('memory', 'memory.events') ?? read('memory', 'memory.oom_control'), 'oom_kill') ?? 0;
  return { ...use, oomKills: kills };
}

function readIo(read: Read): CgroupStats['io'] {
  const use = readIoBytes(read);
  if (use === undefined) return undefined;
  const v2 = read('io', 'io.stat');
  if (v2 !== undefined) return { ...use, readOps: sumOfKey(v2, 'rios'), writeOps: sumOfKey(v2, 'wios') };
  const ops = read('blkio', 'blkio.throttle.io_serviced_recursive') ?? '';
  return { ...use, readOps: sumOfWord(ops, 'Read'), writeOps: sumOfWord(ops, 'Write') };
}
