import { TareError } from '../base/errors.ts';
import type { LinuxResources } from '../spec/runtime-config.ts';
import type { ResourceLimits } from './create-options.ts';

const DEFAULT_PERIOD_US = 100_000;
const MIN_MEMORY_BYTES = 512 * 1024;

/** Limits as the OCI config states them; the default one where the host can enforce it. Errors: invalid combinations. */
export function linuxResources(limits: ResourceLimits, defaultPidsLimit: number | undefined): LinuxResources {
  if (limits.cpus !== undefined && (limits.cpuQuotaUs !== undefined || limits.cpuPeriodUs !== undefined)) {
    throw new TareError(
      'invalid',
      'Cannot use --cpus together with --cpu-quota or --cpu-period: they set the same limit',
    );
  }
  if (limits.memoryBytes !== undefined && limits.memoryBytes < MIN_MEMORY_BYTES) {
    throw new TareError('invalid', `Cannot use --memory ${limits.memoryBytes}: at least 512k is needed`);
  }
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
  const period = limits.cpus === undefined ? limits.cpuPeriodUs : DEFAULT_PERIOD_US;
  const quota = limits.cpus === undefined ? limits.cpuQuotaUs : Math.round(limits.cpus * DEFAULT_PERIOD_US);
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
