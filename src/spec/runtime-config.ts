import { invalid } from './_document.ts';
import { Section, present } from './_section.ts';
import { capabilityBit } from './capabilities.ts';
import { rlimitNumber } from './rlimits.ts';
import { parseIdMappings, parseLinux } from './runtime-linux.ts';
import type {
  Capabilities,
  ConsoleSize,
  Hook,
  Hooks,
  Mount,
  Process,
  Rlimit,
  Root,
  RuntimeConfig,
  Scheduler,
  User,
} from './runtime-types.ts';

export type * from './runtime-types.ts';

/** Largest `config.json` (bytes) that is worth reading. */
export const RUNTIME_CONFIG_MAX_BYTES = 10 * 1024 * 1024;

const WHAT = 'runtime config';
/** Most entries of any list; lists of the process's own strings may be longer. */
const MAX_ITEMS = 16_384;
const MAX_STRINGS = 262_144;
const MAX_U32 = 0xffffffff;
const MAX_U64 = 2 ** 64;

/**
 * Checks an untrusted `config.json` (already parsed as JSON) and returns it typed, with every known field and nothing else: unknown fields are
 * ignored, as the spec demands; `null` counts as absent.
 *
 * Errors: `invalid`, naming the path of the field, for a wrong type, a number out of range, a NUL character, an unknown capability, resource
 * limit, namespace type, action or operator, and lists that are absurdly long. Relations between fields are checked by `compile`.
 */
export function parseRuntimeConfig(json: unknown): RuntimeConfig {
  const root = new Section(WHAT, '', json);
  const version = root.string('ociVersion') ?? root.missing('ociVersion');
  if (!/^[01]\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]*)?$/.test(version)) {
    root.fail('ociVersion', `is ${JSON.stringify(version.slice(0, 40))}; versions 1.x are understood`);
  }
  return present<RuntimeConfig>({
    ociVersion: version,
    process: root.nested('process', parseProcessSection),
    root: root.nested('root', parseRoot),
    hostname: root.cString('hostname'),
    domainname: root.cString('domainname'),
    mounts: root.list('mounts', MAX_ITEMS, parseMount),
    hooks: root.nested('hooks', parseHooks),
    annotations: root.textMap('annotations', MAX_ITEMS),
    linux: root.nested('linux', parseLinux),
  });
}

/** Checks the Process object of `exec --process` on its own. Errors: as `parseRuntimeConfig`. */
export function parseProcess(json: unknown): Process {
  return parseProcessSection(new Section('process', '', json));
}

function parseProcessSection(process: Section): Process {
  return present<Process>({
    terminal: process.boolean('terminal'),
    consoleSize: process.nested('consoleSize', (size): ConsoleSize => ({
      height: size.integer('height', 0, 0xffff) ?? 0,
      width: size.integer('width', 0, 0xffff) ?? 0,
    })),
    user: process.nested('user', parseUser) ?? { uid: 0, gid: 0 },
    args: process.strings('args', MAX_STRINGS),
    env: process.strings('env', MAX_STRINGS),
    cwd: process.cString('cwd') ?? process.missing('cwd'),
    capabilities: process.nested('capabilities', parseCapabilities),
    rlimits: process.list('rlimits', 64, parseRlimit),
    noNewPrivileges: process.boolean('noNewPrivileges'),
    apparmorProfile: process.cString('apparmorProfile'),
    oomScoreAdj: process.integer('oomScoreAdj', -1000, 1000),
    scheduler: process.nested('scheduler', parseScheduler),
    selinuxLabel: process.cString('selinuxLabel'),
    ioPriority: process.nested('ioPriority', (priority) => ({
      class:
        priority.word('class', ['IOPRIO_CLASS_RT', 'IOPRIO_CLASS_BE', 'IOPRIO_CLASS_IDLE']) ??
        priority.missing('class'),
      priority: priority.integer('priority', 0, 7) ?? 0,
    })),
    execCPUAffinity: process.nested('execCPUAffinity', (affinity) =>
      present<{ initial?: string; final?: string }>({
        initial: affinity.cString('initial'),
        final: affinity.cString('final'),
      }),
    ),
  });
}

function parseUser(user: Section): User {
  // The last id is setresuid's "leave as it is": it would silently stay root.
  const maxId = MAX_U32 - 1;
  return present<User>({
    uid: user.integer('uid', 0, maxId) ?? 0,
    gid: user.integer('gid', 0, maxId) ?? 0,
    umask: user.integer('umask', 0, 0o7777),
    additionalGids: user.array('additionalGids', 65_536)?.map((gid, index) => {
      if (typeof gid !== 'number' || !Number.isInteger(gid) || gid < 0 || gid > maxId)
        user.fail(`additionalGids[${index}]`, 'is not a group id');
      return gid;
    }),
  });
}

function parseCapabilities(section: Section): Capabilities {
  const set = (key: string): string[] | undefined =>
    section.words(key, 256, (name) => capabilityBit(name) !== undefined);
  return present<Capabilities>({
    bounding: set('bounding'),
    effective: set('effective'),
    inheritable: set('inheritable'),
    permitted: set('permitted'),
    ambient: set('ambient'),
  });
}

function parseRlimit(section: Section): Rlimit {
  const type = section.string('type') ?? section.missing('type');
  if (rlimitNumber(type) === undefined)
    section.fail('type', `is ${JSON.stringify(type.slice(0, 40))}, which is not known`);
  const soft = section.whole('soft', 0, MAX_U64) ?? section.missing('soft');
  const hard = section.whole('hard', 0, MAX_U64) ?? section.missing('hard');
  if (soft > hard) section.fail('soft', 'is above the hard limit');
  return { type, soft, hard };
}

function parseScheduler(section: Section): Scheduler {
  return present<Scheduler>({
    policy: section.string('policy') ?? section.missing('policy'),
    nice: section.integer('nice', -20, 19),
    priority: section.integer('priority', 0, 99),
    flags: section.strings('flags', 16),
    runtime: section.whole('runtime', 0, MAX_U64),
    deadline: section.whole('deadline', 0, MAX_U64),
    period: section.whole('period', 0, MAX_U64),
  });
}

function parseRoot(section: Section): Root {
  return present<Root>({
    path: section.cString('path') ?? section.missing('path'),
    readonly: section.boolean('readonly'),
  });
}

function parseMount(section: Section): Mount {
  return present<Mount>({
    destination: section.cString('destination') ?? section.missing('destination'),
    type: section.cString('type'),
    source: section.cString('source'),
    options: section.strings('options', 512),
    uidMappings: parseIdMappings(section, 'uidMappings'),
    gidMappings: parseIdMappings(section, 'gidMappings'),
  });
}

function parseHooks(section: Section): Hooks {
  const stage = (key: string): Hook[] | undefined => section.list(key, 1024, parseHook);
  return present<Hooks>({
    prestart: stage('prestart'),
    createRuntime: stage('createRuntime'),
    createContainer: stage('createContainer'),
    startContainer: stage('startContainer'),
    poststart: stage('poststart'),
    poststop: stage('poststop'),
  });
}

function parseHook(section: Section): Hook {
  const path = section.cString('path') ?? section.missing('path');
  if (!path.startsWith('/'))
    throw invalid(WHAT, `${section.path('path')} is ${JSON.stringify(path.slice(0, 80))}, not an absolute path`);
  return present<Hook>({
    path,
    args: section.strings('args', MAX_ITEMS),
    env: section.strings('env', MAX_ITEMS),
    timeout: section.integer('timeout', 1, 4_000_000),
  });
}
