import { dropUndefined } from '../base/defined.ts';
import type { ResourceLimits } from '../engine/create-options.ts';
import type { FlagTable, FlagValues } from './flag-table.ts';

/** The flags of verbs that change the limits of a container that exists; -1 takes one away. */
export const limitFlags = {
  memory: { type: 'size', short: 'm', minusOne: true, help: 'Memory limit; -1: unlimited' },
  'memory-swap': { type: 'size', minusOne: true, help: 'Limit of memory and swap together; -1: unlimited swap' },
  'memory-reservation': { type: 'size', minusOne: true, help: 'Memory kept under pressure; -1: none' },
  cpus: { type: 'number', help: 'Number of CPUs, like 1.5; 0: unlimited' },
  'cpu-shares': { type: 'integer', short: 'c', help: 'Relative weight (default 1024)' },
  'cpu-quota': { type: 'integer', minusOne: true, value: 'MICROSECONDS', help: 'CPU time per period; -1: unlimited' },
  'cpu-period': { type: 'integer', value: 'MICROSECONDS', help: 'Length of the period' },
  'cpuset-cpus': { type: 'text', value: 'LIST', help: 'CPUs to run on, like 0-2,4' },
  'cpuset-mems': { type: 'text', value: 'LIST', help: 'Memory nodes to use' },
  'blkio-weight': { type: 'integer', help: "Share of the disks' time, 10 to 1000" },
  'pids-limit': { type: 'integer', minusOne: true, help: 'Greatest number of processes; 0 or -1: unlimited' },
} as const satisfies FlagTable;

/** The limits that were given. */
export function limitsGiven(flags: FlagValues<typeof limitFlags>): ResourceLimits {
  const pids = flags['pids-limit'];
  return dropUndefined({
    memoryBytes: flags.memory,
    memorySwapBytes: flags['memory-swap'],
    memoryReservationBytes: flags['memory-reservation'],
    cpus: flags.cpus,
    cpuShares: flags['cpu-shares'],
    cpuQuotaUs: flags['cpu-quota'],
    cpuPeriodUs: flags['cpu-period'],
    cpusetCpus: flags['cpuset-cpus'],
    cpusetMems: flags['cpuset-mems'],
    blkioWeight: flags['blkio-weight'],
    pidsLimit: pids === 0 ? -1 : pids,
  });
}
