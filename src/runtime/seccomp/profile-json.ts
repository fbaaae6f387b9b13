import { constants } from 'node:os';
import { TareError } from '../../base/errors.ts';
import { capabilityBit } from '../../spec/capabilities.ts';
import type { LinuxSeccomp, SeccompSyscall } from '../../spec/runtime-types.ts';
import { parseRuntimeConfig } from '../../spec/runtime-config.ts';
import { type NativeArch, nativeArchName } from './arch.ts';

/** What decides which conditional rules of a docker profile hold. */
export interface ProfileContext {
  /** The process's bounding set as a bit mask. */
  readonly capabilities: bigint;
  readonly native: NativeArch;
  /** "6.18" or `uname -r`; absent: rules with a minimal kernel hold. */
  readonly kernel?: string;
}

/** How profiles call machines: Go's names. */
const goArch: Readonly<Record<NativeArch, string>> = { x64: 'amd64', arm64: 'arm64' };

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a profile file's JSON: docker's and containers-common's format (archMap, includes, excludes, minKernel, errno names, single `name`) or a plain
 * OCI `linux.seccomp` section, which is a subset of it. Returns what holds for this process and machine.
 *
 * Errors: `invalid`, naming the place, for anything that is neither.
 */
export function parseSeccompProfile(json: unknown, context: ProfileContext): LinuxSeccomp {
  const profile = object(json, 'profile');
  if (list(profile['architectures'], 'architectures').length > 0 && list(profile['archMap'], 'archMap').length > 0)
    throw invalid('it has both architectures and archMap');
  const native = nativeArchName(context.native);
  const mapped = list(profile['archMap'], 'archMap')
    .map((entry) => object(entry, 'archMap'))
    .filter((entry) => entry['architecture'] === native)
    .flatMap((entry) => [native, ...list(entry['subArchitectures'], 'subArchitectures')]);
  const architectures = mapped.length > 0 ? mapped : list(profile['architectures'], 'architectures');
  const defaultErrno = errnoOf(profile['defaultErrno'], profile['defaultErrnoRet']);
  const syscalls = list(profile['syscalls'], 'syscalls').flatMap((entry) => {
    const rule = object(entry, 'syscalls');
    return applies(rule, context) ? [convert(rule)] : [];
  });
  const seccomp = {
    defaultAction: profile['defaultAction'],
    ...(defaultErrno === undefined ? {} : { defaultErrnoRet: defaultErrno }),
    architectures,
    flags: profile['flags'],
    listenerPath: profile['listenerPath'],
    listenerMetadata: profile['listenerMetadata'],
    syscalls,
  };
  // One parser knows which actions and operators there are.
  const parsed = parseRuntimeConfig({ ociVersion: '1.2.0', linux: { seccomp } }).linux?.seccomp;
  if (parsed === undefined) throw invalid('it is empty');
  return parsed;
}

function applies(rule: Json, context: ProfileContext): boolean {
  const includes = object(rule['includes'] ?? {}, 'includes');
  const excludes = object(rule['excludes'] ?? {}, 'excludes');
  const arch = goArch[context.native];
  const hasCap = (name: unknown): boolean => {
    const bit = typeof name === 'string' ? capabilityBit(name) : undefined;
    return bit !== undefined && ((context.capabilities >> BigInt(bit)) & 1n) === 1n;
  };
  const includedArches = list(includes['arches'], 'includes.arches');
  const includesKernel = includes['minKernel'];
  const excludesKernel = excludes['minKernel'];
  if (list(excludes['arches'], 'excludes.arches').includes(arch)) return false;
  if (list(excludes['caps'], 'excludes.caps').some(hasCap)) return false;
  if (typeof excludesKernel === 'string' && isKernelAtLeast(context.kernel, excludesKernel)) return false;
  if (includedArches.length > 0 && !includedArches.includes(arch)) return false;
  if (!list(includes['caps'], 'includes.caps').every(hasCap)) return false;
  return typeof includesKernel !== 'string' || isKernelAtLeast(context.kernel, includesKernel);
}

function isKernelAtLeast(kernel: string | undefined, minimum: string): boolean {
  const wanted = /^(\d+)\.(\d+)/.exec(minimum);
  if (wanted === null) throw invalid(`minKernel ${JSON.stringify(minimum)} is no kernel version`);
  const have = /^(\d+)\.(\d+)/.exec(kernel ?? '');
  if (have === null) return true;
  const [major, minor] = [Number(have[1]), Number(have[2])];
  return major > Number(wanted[1]) || (major === Number(wanted[1]) && minor >= Number(wanted[2]));
}

function convert(rule: Json): Partial<Record<keyof SeccompSyscall, unknown>> {
  const names = list(rule['names'], 'names');
  const name = rule['name'];
  if (typeof name === 'string' && name !== '' && names.length > 0) throw invalid('a rule has both name and names');
  const errnoRet = errnoOf(rule['errno'], rule['errnoRet']);
  return {
    names: typeof name === 'string' && name !== '' ? [name] : names,
    action: rule['action'],
    ...(errnoRet === undefined ? {} : { errnoRet }),
    args: rule['args'] ?? [],
  };
}

/** An errno by name ("EPERM") wins over the number. */
function errnoOf(name: unknown, number: unknown): unknown {
  if (name === undefined || name === null || name === '') return number ?? undefined;
  const table: Readonly<Record<string, number>> = constants.errno;
  const value =
    typeof name !== 'string'
      ? undefined
      : Object.hasOwn(table, name)
        ? table[name]
        : /^\d{1,4}$/.test(name)
          ? Number(name)
          : undefined;
  if (value === undefined) throw invalid(`there is no errno ${JSON.stringify(name)}`);
  return value;
}

function object(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${what} is not an object`);
  return value as Json;
}

function list(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${what} is not an array`);
  return value;
}

function invalid(state: string): TareError {
  return new TareError('invalid', `Cannot use seccomp profile: ${state}`);
}
