import { TareError } from '../../base/errors.ts';
import type { LinuxResources } from '../../spec/runtime-types.ts';

/** The four throttle lists with their v1 file and v2 key. */
export const throttles = [
  { field: 'throttleReadBpsDevice', v1: 'blkio.throttle.read_bps_device', v2: 'rbps' },
  { field: 'throttleWriteBpsDevice', v1: 'blkio.throttle.write_bps_device', v2: 'wbps' },
  { field: 'throttleReadIOPSDevice', v1: 'blkio.throttle.read_iops_device', v2: 'riops' },
  { field: 'throttleWriteIOPSDevice', v1: 'blkio.throttle.write_iops_device', v2: 'wiops' },
] as const;

/** Below this the kernel cannot even start a process. Same floor as docker's. */
const MIN_MEMORY = 512 * 1024;

/**
 * Refuses values that the kernel would refuse, or silently change, with a reason in the user's terms.
 *
 * Errors: invalid.
 */
export function checkResources(resources: LinuxResources): void {
  const { memory, cpu, pids, blockIO, hugepageLimits, rdma, unified, network } = resources;
  if (memory) {
    size('the memory limit', memory.limit);
    size('the memory reservation', memory.reservation);
    size('the limit of memory plus swap', memory.swap);
    size('the TCP buffer limit', memory.kernelTCP);
    const limit = memory.limit || undefined;
    if (limit !== undefined && limit > 0 && limit < MIN_MEMORY)
      refuse('limit memory', `${limit} bytes is less than the minimum of ${MIN_MEMORY} (512 KiB)`);
    if (memory.swap !== undefined && memory.swap > 0) {
      if (limit === undefined)
        refuse('limit swap', 'the swap limit counts memory plus swap, so it needs a memory limit too');
      if (limit > memory.swap)
        refuse('limit swap', `the limit of memory plus swap (${memory.swap}) is less than the memory limit (${limit})`);
    }
    if (memory.reservation !== undefined && limit !== undefined && limit > 0 && memory.reservation > limit) {
      refuse('reserve memory', `the reservation (${memory.reservation}) is more than the memory limit (${limit})`);
    }
    range('set memory swappiness', memory.swappiness, 0, 100);
  }
  if (cpu) {
    if (cpu.shares) range('set CPU shares', cpu.shares, 2, 262_144);
    if (cpu.period) range('set the CPU period', cpu.period, 1_000, 1_000_000, 'microseconds');
    if (cpu.quota && cpu.quota !== -1)
      range(
        'limit CPU time',
        cpu.quota,
        1_000,
        Number.MAX_SAFE_INTEGER,
        'microseconds per period (0.01 CPUs at the default period)',
      );
    if (cpu.burst) {
      if (!cpu.quota || cpu.quota < 0) refuse('set CPU burst', 'a burst needs a CPU quota');
      range('set CPU burst', cpu.burst, 0, cpu.quota, 'microseconds (no more than the quota)');
    }
    range('set CPU idle', cpu.idle, 0, 1);
    range('set the realtime period', cpu.realtimePeriod, 0, Number.MAX_SAFE_INTEGER);
    range('set the realtime runtime', cpu.realtimeRuntime, -1, Number.MAX_SAFE_INTEGER);
    cpuList('CPUs', cpu.cpus);
    cpuList('memory nodes', cpu.mems);
  }
  range('limit the number of processes', pids?.limit, -1, 4_194_304);
  if (blockIO) {
    if (blockIO.weight) range('set the block I/O weight', blockIO.weight, 10, 1000);
    for (const entry of blockIO.weightDevice ?? []) {
      device('set a block I/O weight', entry);
      if (entry.weight) range('set a block I/O weight', entry.weight, 10, 1000);
    }
    for (const { field } of throttles) {
      for (const entry of blockIO[field] ?? []) {
        device('throttle a block device', entry);
        range('throttle a block device', entry.rate, 0, Number.MAX_SAFE_INTEGER);
      }
    }
  }
  for (const entry of hugepageLimits ?? []) {
    if (!/^[1-9]\d*[KMG]B$/.test(entry.pageSize))
      refuse('limit huge pages', `page size ${JSON.stringify(entry.pageSize)} is not of the form 2MB, 1GB`);
    size(`the limit of ${entry.pageSize} huge pages`, entry.limit);
  }
  range('set the network class', network?.classID, 0, 0xffff_ffff);
  for (const entry of network?.priorities ?? []) {
    name('set a network priority', 'interface', entry.name);
    range('set a network priority', entry.priority, 0, 0xffff_ffff);
  }
  for (const [key, entry] of Object.entries(rdma ?? {})) {
    name('limit RDMA', 'device', key);
    range('limit RDMA handles', entry.hcaHandles, 0, 0x7fff_ffff);
    range('limit RDMA objects', entry.hcaObjects, 0, 0x7fff_ffff);
  }
  for (const [key, value] of Object.entries(unified ?? {})) {
    if (!/^[a-z]\w*\.[\w.]+$/i.test(key))
      refuse('set a cgroup v2 file', `${JSON.stringify(key)} is not the name of a cgroup file like memory.high`);
    if (typeof value !== 'string') refuse('set a cgroup v2 file', `the value of ${key} is not a text`);
  }
}

function refuse(what: string, why: string): never {
  throw new TareError('invalid', `Cannot ${what}: ${why}`);
}

function size(what: string, value: number | undefined): void {
  if (value === undefined || (Number.isInteger(value) && value >= -1 && value < 2 ** 64)) return;
  refuse(`set ${what}`, `${value} is neither a number of bytes nor -1 (unlimited)`);
}

function range(what: string, value: number | undefined, min: number, max: number, unit = ''): void {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return;
  const bounds = max === Number.MAX_SAFE_INTEGER || max === 0x7fff_ffff ? `at least ${min}` : `from ${min} to ${max}`;
  refuse(what, `${value} is not a whole number ${bounds}${unit && ` ${unit}`}`);
}

function device(what: string, entry: { readonly major: number; readonly minor: number }): void {
  for (const part of [entry.major, entry.minor]) {
    if (!Number.isInteger(part) || part < 0 || part > 0xffff_ffff)
      refuse(what, `${entry.major}:${entry.minor} is not a device number`);
  }
}

function name(what: string, of: string, value: string): void {
  if (!/^[^\s/]+$/.test(value)) refuse(what, `${JSON.stringify(value)} is not the name of a ${of}`);
}

/** cpuset(7) list format. */
function cpuList(what: string, text: string | undefined): void {
  if (text === undefined || text === '') return;
  for (const part of text.split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5})(?::(\d{1,5})\/(\d{1,5}))?)?$/.exec(part);
    if (!match || (match[2] !== undefined && Number(match[2]) < Number(match[1]))) {
      refuse(`choose ${what}`, `${JSON.stringify(text)} is not a list of numbers and ranges like 0-2,5`);
    }
  }
}
