import { TareError } from '../base/errors.ts';
import type { LinuxResources } from '../spec/runtime-config.ts';
import type { ResourceLimits } from './create-options.ts';

const DEFAULT_PERIOD_US = 100_000;
const MIN_MEMORY_BYTES = 512 * 1024;

/** Limits as the OCI config states them; the default one where the host can enforce it. Errors: invalid combinations. */
export function linuxResources(limits: ResourceLimits, defaultPidsLimit: number | undefined): LinuxResources {
  checkCpus(limits);
  checkMemory(limits);
  if (limits.memorySwapBytes !== undefined && limits.memoryBytes === undefined) {
    throw new TareError('invalid', 'Cannot use --memory-swap without --memory');
  }
  const swap = limits.memorySwapBytes;
  if (swap !== undefined && swap !== -1 && limits.memoryBytes !== undefined && swap < limits.memoryBytes) {
    throw new TareError(
      'invalid',
      `Cannot use --memory-swap ${swap}: it is memory plus swap and must not be below --memory`,
    );
  }
  const { quota, period } = bandwidth(limits);
  const memory = {
    ...(limits.memoryBytes === undefined ? {} : { limit: limits.memoryBytes }),
    ...(limits.memoryReservationBytes === undefined ? {} : { reservation: limits.memoryReservationBytes }),
    // docker's rule: swap defaults to as much again as memory.
    ...(swap !== undefined ? { swap } : limits.memoryBytes === undefined ? {} : { swap: limits.memoryBytes * 2 }),
  };
  const cpu = {
    ...(limits.cpuShares === undefined ? {} : { shares: limits.cpuShares }),
    ...(quota === undefined ? {} : { quota }),
    ...(period === undefined ? {} : { period }),
    ...(limits.cpusetCpus === undefined ? {} : { cpus: limits.cpusetCpus }),
    ...(limits.cpusetMems === undefined ? {} : { mems: limits.cpusetMems }),
  };
  const pids = limits.pidsLimit ?? defaultPidsLimit;
  return {
    ...(Object.keys(memory).length === 0 ? {} : { memory }),
    ...(Object.keys(cpu).length === 0 ? {} : { cpu }),
    ...(pids === undefined ? {} : { pids: { limit: pids } }),
    ...(limits.blkioWeight === undefined ? {} : { blockIO: { weight: limits.blkioWeight } }),
  };
}

/**
 * The limits that an unprivileged user can set, for whom the controllers were delegated that are named, and a warning that names the others. Refusing to run would help nobody: docker and
 * podman go on, too.
 */
export function enforceable(
  resources: LinuxResources,
  controllers: ReadonlySet<string>,
): { readonly resources: LinuxResources; readonly warnings: readonly string[] } {
  const { memory, cpu, pids, ...rest } = resources;
  const { cpus, mems, ...time } = cpu ?? {};
  const lost = new Set<string>();
  const keeps = (controller: string, asked: boolean): boolean => {
    if (asked && !controllers.has(controller)) lost.add(controller);
    return asked && controllers.has(controller);
  };
  const kept = {
    ...(keeps('cpu', Object.keys(time).length > 0) ? time : {}),
    ...(keeps('cpuset', cpus !== undefined || mems !== undefined)
      ? { ...(cpus === undefined ? {} : { cpus }), ...(mems === undefined ? {} : { mems }) }
      : {}),
  };
  return {
    resources: {
      ...rest,
      ...(memory !== undefined && keeps('memory', true) ? { memory } : {}),
      ...(Object.keys(kept).length > 0 ? { cpu: kept } : {}),
      ...(pids !== undefined && keeps('pids', (pids.limit ?? -1) > 0) ? { pids } : {}),
    },
    warnings:
      lost.size === 0
        ? []
        : [
            `Limits of ${[...lost].join(', ')} are not applied: this user may not set them; it takes cgroup v2 with these controllers delegated (systemd: Delegate=yes), or root`,
          ],
  };
}
/** `before` with what `limits` names changed. Errors: invalid combinations, also with what stays. */
export function changedResources(before: LinuxResources, limits: ResourceLimits): LinuxResources {
  checkCpus(limits);
  checkMemory(limits);
  const { memoryBytes, memorySwapBytes } = limits;
  const oldSwap = before.memory?.swap ?? -1;
  if (memoryBytes !== undefined && memoryBytes > oldSwap && oldSwap > 0 && memorySwapBytes === undefined) {
    throw new TareError(
      'invalid',
      `Cannot use --memory ${memoryBytes}: memory plus swap is limited to ${oldSwap}; give --memory-swap, too`,
    );
  }
  const limit = memoryBytes ?? before.memory?.limit;
  // Without a limit of memory there is nothing that swap could come on top of.
  const swap = limit === undefined || limit === -1 ? -1 : (memorySwapBytes ?? before.memory?.swap);
  if (memorySwapBytes !== undefined && memorySwapBytes > 0 && swap === -1)
    throw new TareError('invalid', 'Cannot use --memory-swap without a limit of memory: give --memory, too');
  if (swap !== undefined && swap > 0 && limit !== undefined && swap < limit)
    throw new TareError(
      'invalid',
      `Cannot use --memory-swap ${swap}: it is memory plus swap and must not be below the memory limit, ${limit}`,
    );
  const { quota, period } = bandwidth(limits);
  const keep = <T extends object>(value: T): T =>
    Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
  return {
    ...before,
    memory: keep({
      ...before.memory,
      limit,
      swap: swap === -1 && before.memory?.swap === undefined && memorySwapBytes === undefined ? undefined : swap,
      reservation: limits.memoryReservationBytes ?? before.memory?.reservation,
    }) as NonNullable<LinuxResources['memory']>,
    cpu: keep({
      ...before.cpu,
      shares: limits.cpuShares ?? before.cpu?.shares,
      quota: quota ?? before.cpu?.quota,
      period: period ?? before.cpu?.period,
      cpus: limits.cpusetCpus ?? before.cpu?.cpus,
      mems: limits.cpusetMems ?? before.cpu?.mems,
    }) as NonNullable<LinuxResources['cpu']>,
    ...(limits.pidsLimit === undefined ? {} : { pids: { limit: limits.pidsLimit } }),
    ...(limits.blkioWeight === undefined ? {} : { blockIO: { ...before.blockIO, weight: limits.blkioWeight } }),
  };
}

/** The limits that resources stand for: what `linuxResources` made them of. */
export function limitsOf(resources: LinuxResources): ResourceLimits {
  const { memory, cpu, pids, blockIO } = resources;
  const limits = {
    memoryBytes: memory?.limit === -1 ? undefined : memory?.limit,
    memorySwapBytes: memory?.limit === undefined || memory.limit === -1 ? undefined : memory.swap,
    memoryReservationBytes: memory?.reservation,
    cpuShares: cpu?.shares,
    cpuQuotaUs: cpu?.quota === -1 ? undefined : cpu?.quota,
    cpuPeriodUs: cpu?.period,
    cpusetCpus: cpu?.cpus,
    cpusetMems: cpu?.mems,
    pidsLimit: pids?.limit,
    blkioWeight: blockIO?.weight,
  };
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined)) as ResourceLimits;
}

function checkCpus(limits: ResourceLimits): void {
  if (limits.cpus === undefined || (limits.cpuQuotaUs === undefined && limits.cpuPeriodUs === undefined)) return;
  throw new TareError(
    'invalid',
    'Cannot use --cpus together with --cpu-quota or --cpu-period: they set the same limit',
  );
}

function checkMemory({ memoryBytes }: ResourceLimits): void {
  if (memoryBytes !== undefined && memoryBytes !== -1 && memoryBytes < MIN_MEMORY_BYTES)
    throw new TareError('invalid', `Cannot use --memory ${memoryBytes}: at least 512k is needed`);
}

/** CPU time per period; a number of CPUs is one, too, and 0 of them is no limit. */
function bandwidth(limits: ResourceLimits): {
  readonly quota: number | undefined;
  readonly period: number | undefined;
} {
  if (limits.cpus === undefined) return { quota: limits.cpuQuotaUs, period: limits.cpuPeriodUs };
  const quota = limits.cpus === 0 ? -1 : Math.round(limits.cpus * DEFAULT_PERIOD_US);
  return { quota, period: DEFAULT_PERIOD_US };
}
