import { type Section, present } from './_section.ts';
import type {
  BlockIoResources,
  CpuResources,
  DeviceRule,
  LinuxResources,
  MemoryResources,
  NetworkResources,
  ThrottleDevice,
} from './runtime-types.ts';

const MAX_ITEMS = 16_384;
const MAX_U32 = 0xffffffff;
/** int64 and uint64 limits; the numbers themselves are checked where they are used. */
const I64 = [-(2 ** 63), 2 ** 63] as const;
const U64 = [0, 2 ** 64] as const;

/** `linux.resources`, also the document of `update`. Errors: as `parseRuntimeConfig`. */
export function parseResources(section: Section): LinuxResources {
  return present<LinuxResources>({
    devices: section.list('devices', MAX_ITEMS, parseDeviceRule),
    memory: section.nested('memory', parseMemory),
    cpu: section.nested('cpu', parseCpu),
    pids: section.nested('pids', (pids) => present<{ limit?: number }>({ limit: pids.whole('limit', ...I64) })),
    blockIO: section.nested('blockIO', parseBlockIo),
    hugepageLimits: section.list('hugepageLimits', 64, (limit) => {
      const pageSize = limit.string('pageSize') ?? limit.missing('pageSize');
      // It becomes part of a file name.
      if (!/^[1-9][0-9]*[KMG]B$/.test(pageSize)) limit.fail('pageSize', 'is not like 2MB or 1GB');
      return { pageSize, limit: limit.whole('limit', ...U64) ?? limit.missing('limit') };
    }),
    network: section.nested('network', parseNetwork),
    rdma: section.record('rdma', 1024, (limits) =>
      present<{ hcaHandles?: number; hcaObjects?: number }>({
        hcaHandles: limits.integer('hcaHandles', 0, MAX_U32),
        hcaObjects: limits.integer('hcaObjects', 0, MAX_U32),
      }),
    ),
    unified: section.textMap('unified', 1024),
  });
}

function parseDeviceRule(rule: Section): DeviceRule {
  const access = rule.string('access');
  if (access !== undefined && !/^[rwm]{0,3}$/.test(access)) rule.fail('access', 'is not made of r, w and m');
  return present<DeviceRule>({
    allow: rule.boolean('allow') ?? rule.missing('allow'),
    type: rule.string('type') === '' ? undefined : rule.word('type', ['a', 'c', 'b']),
    major: rule.integer('major', -1, 0xfff),
    minor: rule.integer('minor', -1, 0xfffff),
    access,
  });
}

function parseMemory(memory: Section): MemoryResources {
  return present<MemoryResources>({
    limit: memory.whole('limit', ...I64),
    reservation: memory.whole('reservation', ...I64),
    swap: memory.whole('swap', ...I64),
    kernel: memory.whole('kernel', ...I64),
    kernelTCP: memory.whole('kernelTCP', ...I64),
    swappiness: memory.whole('swappiness', ...U64),
    disableOOMKiller: memory.boolean('disableOOMKiller'),
    useHierarchy: memory.boolean('useHierarchy'),
    checkBeforeUpdate: memory.boolean('checkBeforeUpdate'),
  });
}

function parseCpu(cpu: Section): CpuResources {
  return present<CpuResources>({
    shares: cpu.whole('shares', ...U64),
    quota: cpu.whole('quota', ...I64),
    burst: cpu.whole('burst', ...U64),
    period: cpu.whole('period', ...U64),
    realtimeRuntime: cpu.whole('realtimeRuntime', ...I64),
    realtimePeriod: cpu.whole('realtimePeriod', ...U64),
    cpus: cpu.cString('cpus'),
    mems: cpu.cString('mems'),
    idle: cpu.integer('idle', 0, 1),
  });
}

function parseBlockIo(io: Section): BlockIoResources {
  const throttle = (key: string): ThrottleDevice[] | undefined =>
    io.list(key, MAX_ITEMS, (device) => ({
      ...deviceNumber(device),
      rate: device.whole('rate', ...U64) ?? device.missing('rate'),
    }));
  return present<BlockIoResources>({
    weight: io.integer('weight', 0, 0xffff),
    leafWeight: io.integer('leafWeight', 0, 0xffff),
    weightDevice: io.list('weightDevice', MAX_ITEMS, (device) =>
      present<{ major: number; minor: number; weight?: number; leafWeight?: number }>({
        ...deviceNumber(device),
        weight: device.integer('weight', 0, 0xffff),
        leafWeight: device.integer('leafWeight', 0, 0xffff),
      }),
    ),
    throttleReadBpsDevice: throttle('throttleReadBpsDevice'),
    throttleWriteBpsDevice: throttle('throttleWriteBpsDevice'),
    throttleReadIOPSDevice: throttle('throttleReadIOPSDevice'),
    throttleWriteIOPSDevice: throttle('throttleWriteIOPSDevice'),
  });
}

function deviceNumber(device: Section): { major: number; minor: number } {
  return {
    major: device.integer('major', 0, 0xfff) ?? device.missing('major'),
    minor: device.integer('minor', 0, 0xfffff) ?? device.missing('minor'),
  };
}

function parseNetwork(network: Section): NetworkResources {
  return present<NetworkResources>({
    classID: network.integer('classID', 0, MAX_U32),
    priorities: network.list('priorities', 1024, (priority) => ({
      name: priority.cString('name') ?? priority.missing('name'),
      priority: priority.integer('priority', 0, MAX_U32) ?? priority.missing('priority'),
    })),
  });
}
