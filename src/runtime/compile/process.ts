import { capabilityMask } from '../../spec/capabilities.ts';
import { rlimitNumber, rlimitValue } from '../../spec/rlimits.ts';
import type {
  Capabilities,
  LinuxSeccomp,
  Personality,
  Process,
  Rlimit,
  RuntimeConfig,
} from '../../spec/runtime-types.ts';
import { defaultPath } from '../default-paths.ts';
import { containerPath } from './container-path.ts';
import { type Draft, invalid, unsupported } from './draft.ts';
import { compileMemoryPolicy, compileScheduler, ioPriorityValue } from './scheduling.ts';
import { seccompFlags } from './seccomp-flags.ts';
import type { CompileFeatures, SeccompCompiler } from './types.ts';

const KEEP_UMASK = 0xffffffff;
const PER_LINUX32 = 8;

/** Annotation that stands for the default seccomp profile where `linux.seccomp` is absent; the profile itself depends on capabilities and architecture only. */
export const SECCOMP_ANNOTATION = 'tare.seccomp';

/** What filters a container's system calls: nothing, the default profile, or its own. */
export function seccompOf(config: RuntimeConfig): 'none' | 'default' | LinuxSeccomp {
  if (config.linux?.seccomp !== undefined) return config.linux.seccomp;
  return config.annotations?.[SECCOMP_ANNOTATION] === 'default' ? 'default' : 'none';
}

/** The bounding set of a process as a mask: the capabilities its default profile is made for. */
export function boundingMask(process: Process | undefined): bigint {
  return capabilityMask(process?.capabilities?.bounding ?? []);
}

/** Kernel settings of the process that need privileges it is about to lose. */
export function compileAttributes(
  draft: Draft,
  process: Process,
  config: RuntimeConfig,
  features: CompileFeatures,
): void {
  compileLabels(draft, process, features);
  if (process.scheduler !== undefined) compileScheduler(draft, process.scheduler);
  if (process.ioPriority !== undefined) draft.add({ op: 'ioprio', value: ioPriorityValue(process.ioPriority) });
  const personality = config.linux?.personality;
  if (personality !== undefined) compilePersonality(draft, personality);
  const policy = config.linux?.memoryPolicy;
  if (policy !== undefined) compileMemoryPolicy(draft, policy);
}

function compilePersonality(draft: Draft, personality: Personality): void {
  if ((personality.flags?.length ?? 0) > 0) throw unsupported('linux.personality', 'no flags are defined');
  draft.add({ op: 'personality', persona: personality.domain === 'LINUX32' ? PER_LINUX32 : 0 });
}

function compileLabels(draft: Draft, process: Process, features: CompileFeatures): void {
  const { apparmorProfile: profile = '', selinuxLabel: label = '' } = process;
  if (label !== '') {
    if (features.selinux !== true) throw unsupported('process.selinuxLabel', 'SELinux is not enabled on this machine');
    draft.add({ op: 'procAttr', name: 'attr/exec', text: label });
  }
  if (profile !== '' && profile !== 'unconfined') {
    if (features.apparmor !== true)
      throw unsupported('process.apparmorProfile', 'AppArmor is not enabled on this machine');
    draft.add({ op: 'procAttr', name: 'attr/apparmor/exec', text: `exec ${profile}` });
  }
}

/** What turns privileged init into the process: in two parts, as the filter goes before or after the loss of privilege. */
export interface IdentityInput {
  readonly process: Process;
  readonly rlimits: readonly Rlimit[];
  readonly filter: 'none' | 'default' | LinuxSeccomp;
  readonly seccomp: SeccompCompiler;
  /** The bounding set the filter is made for. */
  readonly filterCapabilities: bigint;
  /** Between the loss of privileges and the last filter. */
  readonly beforeExec: () => void;
  readonly init: boolean;
  /** The container's no_new_privs holds for exec sessions too. */
  readonly noNewPrivileges: boolean;
}

/**
 * Limits, filter, ids, capabilities, execve. Without no_new_privs a filter needs CAP_SYS_ADMIN and goes first; with it, the filter goes last and does
 * not have to allow what happens before (runtime-linux "seccomp").
 *
 * CVE-2024-21626: the working directory is entered, and proven to lie inside the root, before and after the change of user.
 * CVE-2022-29162, CVE-2022-27650, CVE-2025-27612: inheritable and ambient sets are what the configuration says, empty when it says nothing.
 */
export function compileIdentity(draft: Draft, input: IdentityInput): void {
  const { process } = input;
  const late = input.noNewPrivileges;
  draft.add({ op: 'cwd', path: processCwd(process) });
  if (late) draft.add({ op: 'noNewPrivs' });
  for (const { type, soft, hard } of input.rlimits)
    draft.add({ op: 'rlimit', resource: resourceNumber(type), soft: rlimitValue(soft), hard: rlimitValue(hard) });
  if (!late) compileFilter(draft, input);
  const caps = process.capabilities ?? {};
  draft.add({ op: 'capsBounding', mask: mask(caps, 'bounding') });
  draft.add({
    op: 'user',
    uid: process.user.uid,
    gid: process.user.gid,
    groups: packGroups(process.user.additionalGids ?? []),
    umask: process.user.umask ?? KEEP_UMASK,
  });
  draft.add({
    op: 'caps',
    effective: mask(caps, 'effective'),
    permitted: mask(caps, 'permitted'),
    inheritable: mask(caps, 'inheritable'),
    ambient: mask(caps, 'ambient'),
  });
  input.beforeExec();
  if (late) compileFilter(draft, input);
  const argv = process.args ?? [];
  if (argv.length === 0) throw invalid('process.args', 'there is no command');
  draft.add({
    op: 'exec',
    candidates: execCandidates(argv[0] ?? '', process.env ?? []),
    argv,
    env: process.env ?? [],
    init: input.init ? 1 : 0,
  });
}

function compileFilter(draft: Draft, input: IdentityInput): void {
  if (input.filter === 'none') return;
  const flags = input.filter === 'default' ? 0 : seccompFlags(input.filter);
  draft.add({ op: 'seccomp', flags, filter: input.seccomp(input.filter, input.filterCapabilities) });
}

function mask(capabilities: Capabilities, set: keyof Capabilities): bigint {
  return capabilityMask(capabilities[set] ?? []);
}

/** The working directory. Errors: `invalid` for a relative one, or one in /proc, where descriptors look like directories. */
export function processCwd(process: Process): string {
  const path = containerPath(process.cwd, 'process.cwd');
  if (
    path.startsWith('/proc/') &&
    /^\/proc\/(?:self|thread-self|[0-9]+)(?:\/task\/[0-9]+)?\/(?:fd|cwd|root)(?:\/|$)/.test(path)
  ) {
    throw invalid(`process.cwd ${JSON.stringify(process.cwd)}`, 'it leads through a descriptor');
  }
  return path;
}

function resourceNumber(type: string): number {
  const number = rlimitNumber(type);
  if (number === undefined) throw invalid('process.rlimits', `there is no limit ${type}`);
  return number;
}

function packGroups(gids: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(gids.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, gid] of gids.entries()) view.setUint32(index * 4, gid, true);
  return bytes;
}

/**
 * The files to try for a command: itself when it has a slash, else that name in each directory of the process's own PATH. Entries that are not
 * absolute are left out: what they mean depends on the working directory.
 */
export function execCandidates(command: string, env: readonly string[]): string[] {
  if (command.includes('/') || command === '') return [command];
  const path = env.find((entry) => entry.startsWith('PATH='))?.slice(5) ?? defaultPath;
  const candidates = path
    .split(':')
    .flatMap((directory) => (directory.startsWith('/') ? [`${directory.replace(/\/+$/, '')}/${command}`] : []));
  // An empty list would say nothing about what was looked for.
  return candidates.length === 0 ? [`/${command}`] : [...new Set(candidates)];
}
