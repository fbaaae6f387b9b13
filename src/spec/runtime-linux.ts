import { invalid, shown } from './_document.ts';
import { type Section, present } from './_section.ts';
import { parseResources } from './runtime-resources.ts';
import type {
  Device,
  IdMapping,
  IntelRdt,
  Linux,
  LinuxSeccomp,
  MemoryPolicy,
  Namespace,
  Personality,
  SeccompArg,
  SeccompSyscall,
  TimeOffset,
} from './runtime-types.ts';

const MAX_ITEMS = 16_384;
const MAX_U32 = 0xffffffff;
const MAX_ERRNO = 4095;

const namespaceTypes = ['pid', 'network', 'mount', 'ipc', 'uts', 'user', 'cgroup', 'time'] as const;
const propagations = [
  'shared',
  'slave',
  'private',
  'unbindable',
  'rshared',
  'rslave',
  'rprivate',
  'runbindable',
] as const;
const actions = [
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_LOG',
  'SCMP_ACT_NOTIFY',
] as const;
const operators = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
] as const;

/** The `linux` section. Errors: as `parseRuntimeConfig`. */
export function parseLinux(linux: Section): Linux {
  return present<Linux>({
    uidMappings: parseIdMappings(linux, 'uidMappings'),
    gidMappings: parseIdMappings(linux, 'gidMappings'),
    sysctl: linux.textMap('sysctl', 4096),
    resources: linux.nested('resources', parseResources),
    cgroupsPath: linux.cString('cgroupsPath'),
    namespaces: linux.list('namespaces', 64, parseNamespace),
    devices: linux.list('devices', MAX_ITEMS, parseDevice),
    netDevices: linux.record('netDevices', 1024, (device) =>
      present<{ name?: string }>({ name: device.cString('name') }),
    ),
    seccomp: linux.nested('seccomp', parseSeccomp),
    rootfsPropagation:
      linux.string('rootfsPropagation') === '' ? undefined : linux.word('rootfsPropagation', propagations),
    maskedPaths: linux.strings('maskedPaths', MAX_ITEMS),
    readonlyPaths: linux.strings('readonlyPaths', MAX_ITEMS),
    mountLabel: linux.cString('mountLabel'),
    intelRdt: linux.nested('intelRdt', parseIntelRdt),
    memoryPolicy: linux.nested('memoryPolicy', (policy) =>
      present<MemoryPolicy>({
        mode: policy.string('mode') ?? policy.missing('mode'),
        nodes: policy.cString('nodes'),
        flags: policy.strings('flags', 16),
      }),
    ),
    personality: linux.nested('personality', (personality) =>
      present<Personality>({
        domain: personality.word('domain', ['LINUX', 'LINUX32']) ?? personality.missing('domain'),
        flags: personality.strings('flags', 64),
      }),
    ),
    timeOffsets: linux.nested('timeOffsets', (offsets) =>
      present<Partial<Record<'monotonic' | 'boottime', TimeOffset>>>({
        monotonic: offsets.nested('monotonic', parseOffset),
        boottime: offsets.nested('boottime', parseOffset),
      }),
    ),
  });
}

/** A list of id mappings. */
export function parseIdMappings(section: Section, key: string): IdMapping[] | undefined {
  return section.list(key, 340, (mapping) => {
    const containerID = mapping.integer('containerID', 0, MAX_U32) ?? mapping.missing('containerID');
    const hostID = mapping.integer('hostID', 0, MAX_U32) ?? mapping.missing('hostID');
    const size = mapping.integer('size', 1, MAX_U32) ?? mapping.missing('size');
    if (containerID + size > MAX_U32 + 1 || hostID + size > MAX_U32 + 1)
      mapping.fail('size', 'reaches past the last id');
    return { containerID, hostID, size };
  });
}

function parseNamespace(section: Section): Namespace {
  const type = section.word('type', namespaceTypes) ?? section.missing('type');
  const path = section.cString('path');
  if (path === undefined || path === '') return { type };
  if (!path.startsWith('/')) section.fail('path', `is ${shown(path)}, not an absolute path`);
  return { type, path };
}

function parseDevice(section: Section): Device {
  const type = section.word('type', ['c', 'u', 'b', 'p']) ?? section.missing('type');
  const major = section.integer('major', 0, 0xfff);
  const minor = section.integer('minor', 0, 0xfffff);
  if (type !== 'p' && (major === undefined || minor === undefined))
    section.missing(major === undefined ? 'major' : 'minor');
  return present<Device>({
    path: section.cString('path') ?? section.missing('path'),
    type,
    major,
    minor,
    fileMode: section.integer('fileMode', 0, MAX_U32),
    uid: section.integer('uid', 0, MAX_U32 - 1),
    gid: section.integer('gid', 0, MAX_U32 - 1),
  });
}

function parseOffset(section: Section): TimeOffset {
  return present<TimeOffset>({
    secs: section.integer('secs', -(2 ** 40), 2 ** 40),
    nanosecs: section.integer('nanosecs', 0, 999_999_999),
  });
}

function parseIntelRdt(section: Section): IntelRdt {
  return present<IntelRdt>({
    closID: section.cString('closID'),
    l3CacheSchema: section.cString('l3CacheSchema'),
    memBwSchema: section.cString('memBwSchema'),
    schemata: section.strings('schemata', 1024),
    enableMonitoring: section.boolean('enableMonitoring'),
  });
}

function parseSeccomp(section: Section): LinuxSeccomp {
  return present<LinuxSeccomp>({
    defaultAction: section.word('defaultAction', actions) ?? section.missing('defaultAction'),
    defaultErrnoRet: section.integer('defaultErrnoRet', 0, MAX_ERRNO),
    architectures: section.strings('architectures', 64),
    flags: section.strings('flags', 16),
    listenerPath: section.cString('listenerPath'),
    listenerMetadata: section.cString('listenerMetadata'),
    syscalls: section.list('syscalls', MAX_ITEMS, parseSyscall),
  });
}

function parseSyscall(section: Section): SeccompSyscall {
  const names = section.strings('names', MAX_ITEMS) ?? section.missing('names');
  if (names.length === 0) section.fail('names', 'is empty');
  return present<SeccompSyscall>({
    names,
    action: section.word('action', actions) ?? section.missing('action'),
    errnoRet: section.integer('errnoRet', 0, 0xffff),
    args: section.list('args', 64, parseArg),
  });
}

function parseArg(section: Section): SeccompArg {
  return present<SeccompArg>({
    index: section.integer('index', 0, 5) ?? section.missing('index'),
    value: parseU64(section, 'value') ?? section.missing('value'),
    valueTwo: parseU64(section, 'valueTwo'),
    op: section.word('op', operators) ?? section.missing('op'),
  });
}

/** A rounded operand would be another filter: only what a double holds exactly, and 2^64-1, which every JSON reader rounds to 2^64. */
function parseU64(section: Section, key: string): number | bigint | undefined {
  const value = section.whole(key, 0, 2 ** 64);
  if (value === undefined || Number.isSafeInteger(value)) return value;
  if (value === 2 ** 64) return 0xffffffffffffffffn;
  throw invalid(section.what, `${section.path(key)} is ${value}, which JSON does not carry exactly`);
}
