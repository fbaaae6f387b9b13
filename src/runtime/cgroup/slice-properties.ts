import type { LinuxResources } from '../../spec/runtime-config.ts';
import { blkioToIoWeight, sharesToWeight, swapToV2 } from './convert.ts';
import type { UnitProperty } from './systemd-manager.ts';

const DEFAULT_PERIOD_US = 100_000;
const SECOND_US = 1_000_000n;
const throttles = {
  throttleReadBpsDevice: 'IOReadBandwidthMax',
  throttleWriteBpsDevice: 'IOWriteBandwidthMax',
  throttleReadIOPSDevice: 'IOReadIOPSMax',
  throttleWriteIOPSDevice: 'IOWriteIOPSMax',
} as const;

/** Limits of a slice in systemd's words (systemd.resource-control(5)), and warnings for those it has none for. */
export function sliceProperties({ memory, cpu, pids, blockIO, ...others }: LinuxResources): {
  readonly properties: readonly UnitProperty[];
  readonly warnings: readonly string[];
} {
  const properties: UnitProperty[] = [];
  const set = (name: string, signature: string, value: UnitProperty[2]): void =>
    void properties.push([name, signature, value]);
  const number = (name: string, value: number | undefined): void => {
    if (value !== undefined && value > 0) set(name, 't', BigInt(Math.round(value)));
  };
  number('MemoryMax', memory?.limit);
  number('MemoryLow', memory?.reservation);
  const swap = swapToV2(memory?.limit || undefined, memory?.swap || undefined);
  if (swap !== undefined && swap !== 'max') set('MemorySwapMax', 't', BigInt(swap));
  if (cpu?.shares) number('CPUWeight', sharesToWeight(cpu.shares));
  const { quota = 0, period = 0 } = cpu ?? {};
  if (quota > 0) {
    set('CPUQuotaPerSecUSec', 't', (BigInt(quota) * SECOND_US) / BigInt(period || DEFAULT_PERIOD_US));
    number('CPUQuotaPeriodUSec', period);
  }
  if (cpu?.cpus) set('AllowedCPUs', 'ay', bitmask(cpu.cpus));
  if (cpu?.mems) set('AllowedMemoryNodes', 'ay', bitmask(cpu.mems));
  number('TasksMax', pids?.limit);
  if (blockIO?.weight) number('IOWeight', blkioToIoWeight(blockIO.weight));
  for (const [field, name] of Object.entries(throttles)) {
    const limits = (blockIO?.[field as keyof typeof throttles] ?? []).filter(({ rate }) => rate > 0);
    if (limits.length > 0)
      set(
        name,
        'a(st)',
        limits.map(({ major, minor, rate }) => [`/dev/block/${major}:${minor}`, BigInt(rate)]),
      );
  }
  const { devices: _, ...rest } = others;
  const warnings = Object.entries(rest).flatMap(([kind, value]) =>
    value === undefined || Object.keys(value).length === 0
      ? []
      : [`The limits ${kind} of the pod are not enforced: systemd has no words for them; limit its containers`],
  );
  return { properties, warnings };
}

/** "0-2,5" as bits, the lowest first. */
function bitmask(list: string): number[] {
  const bytes: number[] = [];
  for (const range of list.split(',')) {
    const [first = Number.NaN, last = first] = range.split('-').map(Number);
    for (let at = first; at <= last; at++) {
      while (bytes.length <= at >> 3) bytes.push(0);
      bytes[at >> 3] = (bytes[at >> 3] ?? 0) | (1 << (at & 7));
    }
  }
  return bytes;
}
