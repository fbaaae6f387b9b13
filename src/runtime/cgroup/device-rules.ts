import { TareError } from '../../base/errors.ts';
import type { DeviceRule as DeviceCgroupRule } from '../../spec/runtime-types.ts';

/** Bits of the kernel's BPF_DEVCG_ACC_*. */
export const ACCESS_MKNOD = 1;
export const ACCESS_READ = 2;
export const ACCESS_WRITE = 4;
export const ACCESS_ALL = 7;

/** A checked rule. Major and minor -1: any. */
export interface DeviceRule {
  readonly allow: boolean;
  readonly type: 'a' | 'b' | 'c';
  readonly major: number;
  readonly minor: number;
  /** ACCESS_* bits, never 0. */
  readonly access: number;
}

const char = (major: number, minor: number, access = ACCESS_ALL): DeviceRule => ({
  allow: true,
  type: 'c',
  major,
  minor,
  access,
});

/**
 * What every OCI runtime adds after the rules of the configuration: any node may be made, and the devices the runtime specification
 * puts in every container may be used (null, zero, full, random, urandom, tty, ptmx, pts).
 */
export const runtimeDeviceRules: readonly DeviceRule[] = [
  char(-1, -1, ACCESS_MKNOD),
  { ...char(-1, -1, ACCESS_MKNOD), type: 'b' },
  char(1, 3),
  char(1, 5),
  char(1, 7),
  char(1, 8),
  char(1, 9),
  char(5, 0),
  char(5, 2),
  char(136, -1),
];

/** Checks rules of a configuration. Errors: invalid. */
export function parseDeviceRules(rules: readonly DeviceCgroupRule[]): DeviceRule[] {
  return rules.map((rule) => {
    const type: string = rule.type ?? 'a';
    const access = rule.access || 'rwm';
    const refuse = (what: string): never => {
      throw new TareError('invalid', `Cannot apply device rule ${JSON.stringify(rule)}: ${what}`);
    };
    // 'u' is an unbuffered character device in mknod(1)'s words.
    const kind = type === 'u' ? 'c' : type;
    if (kind !== 'a' && kind !== 'b' && kind !== 'c')
      return refuse('its type must be a (all), b (block) or c (character)');
    let bits = 0;
    for (const letter of access) {
      const bit =
        letter === 'r'
          ? ACCESS_READ
          : letter === 'w'
            ? ACCESS_WRITE
            : letter === 'm'
              ? ACCESS_MKNOD
              : refuse('its access must be made of r, w and m');
      bits |= bit;
    }
    const number = (name: 'major' | 'minor'): number => {
      const value = rule[name] ?? -1;
      if (!Number.isInteger(value) || value < -1 || value > 0xffff_ffff)
        return refuse(`its ${name} must be a device number, or -1 for any`);
      return value;
    };
    return { allow: rule.allow, type: kind, major: number('major'), minor: number('minor'), access: bits };
  });
}

/** True for a rule that decides about every access to every device: what came before it does not matter. */
export function decidesAll(rule: DeviceRule): boolean {
  return rule.type === 'a' && rule.major === -1 && rule.minor === -1 && rule.access === ACCESS_ALL;
}

/** True when the list allows everything: its last all-deciding rule allows and no denial follows. */
export function allowsEverything(rules: readonly DeviceRule[]): boolean {
  const last = rules.findLastIndex(decidesAll);
  return last >= 0 && rules.slice(last).every((rule) => rule.allow);
}

/**
 * The lines for a fresh v1 devices cgroup that mean the same as the list (the last rule that matches decides, for each of read, write and
 * mknod alone; nothing matches: denied). The kernel's v1 list has one default and exceptions from it, none of which may cut a hole into
 * another: undefined when the list needs that.
 */
export function deviceLines(
  rules: readonly DeviceRule[],
): { file: 'devices.allow' | 'devices.deny'; line: string }[] | undefined {
  let defaultAllow = false;
  const exceptions: Exceptions = new Map();
  for (const rule of rules) {
    if (decidesAll(rule)) {
      defaultAllow = rule.allow;
      exceptions.clear();
      continue;
    }
    for (const type of rule.type === 'a' ? (['b', 'c'] as const) : ([rule.type] as const)) {
      if (rule.allow !== defaultAllow) {
        const key = `${type} ${rule.major}:${rule.minor}`;
        const known = exceptions.get(key)?.access ?? 0;
        exceptions.set(key, { type, major: rule.major, minor: rule.minor, access: known | rule.access });
        continue;
      }
      for (const [key, exception] of exceptions) {
        if (exception.type !== type || (exception.access & rule.access) === 0) continue;
        const covers = (mine: number, theirs: number): boolean => mine === -1 || mine === theirs;
        if (meet(rule.major, exception.major) === undefined || meet(rule.minor, exception.minor) === undefined)
          continue;
        if (!covers(rule.major, exception.major) || !covers(rule.minor, exception.minor)) return undefined;
        const access = exception.access & ~rule.access;
        if (access === 0) exceptions.delete(key);
        else exceptions.set(key, { ...exception, access });
      }
    }
  }
  if (!defaultAllow) joinOverlaps(exceptions);
  const star = (n: number): string => (n === -1 ? '*' : String(n));
  const letters = (bits: number): string =>
    `${bits & ACCESS_READ ? 'r' : ''}${bits & ACCESS_WRITE ? 'w' : ''}${bits & ACCESS_MKNOD ? 'm' : ''}`;
  const file = defaultAllow ? ('devices.deny' as const) : ('devices.allow' as const);
  const lines = [...exceptions.values()].map((e) => ({
    file,
    line: `${e.type} ${star(e.major)}:${star(e.minor)} ${letters(e.access)}`,
  }));
  return defaultAllow ? lines : [{ file: 'devices.deny', line: 'a' }, ...lines];
}

type Exceptions = Map<
  string,
  { readonly type: 'b' | 'c'; readonly major: number; readonly minor: number; readonly access: number }
>;

/** v1 grants an access only when one exception grants all of it: where two meet, a third grants what both do. */
function joinOverlaps(exceptions: Exceptions): void {
  // A Map's iterator also visits what is added on the way.
  for (const one of exceptions.values()) {
    for (const other of [...exceptions.values()]) {
      if (one.type !== other.type || (one.access | other.access) === one.access) continue;
      const major = meet(one.major, other.major);
      const minor = meet(one.minor, other.minor);
      if (major === undefined || minor === undefined) continue;
      const key = `${one.type} ${major}:${minor}`;
      const access = (exceptions.get(key)?.access ?? 0) | one.access | other.access;
      if (access === exceptions.get(key)?.access) continue;
      // Deleted first, so that the grown exception is visited again.
      exceptions.delete(key);
      exceptions.set(key, { type: one.type, major, minor, access });
    }
  }
}

/** The numbers both mean, -1 being any. */
function meet(one: number, other: number): number | undefined {
  return one === -1 ? other : other === -1 || one === other ? one : undefined;
}
