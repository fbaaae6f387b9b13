import { readFileSync } from 'node:fs';
import { parseMountinfo, type MountEntry } from '../../sys/mountinfo.ts';

/** One mounted hierarchy. */
export interface Hierarchy {
  readonly version: 1 | 2;
  /** Mount point relative to the cgroup root ("memory", "cpu,cpuacct"; "" for cgroup v2 alone). */
  readonly dir: string;
  /** v1: its controllers. v2: what its root offers. Empty for a named hierarchy. */
  readonly controllers: readonly string[];
  /** Named v1 hierarchies: "systemd". */
  readonly name?: string;
  /** Mounted read-only: nothing can be created there. */
  readonly readOnly: boolean;
  /** The cgroup of this process in it, as the kernel tells ("/user.slice/..."). */
  readonly own: string;
}

/** The cgroup hierarchies of a machine (or of the container we run in). */
export interface CgroupHost {
  /** v2: one tree. v1: one per controller. hybrid: v1 for the controllers beside a v2 tree for the processes. none: nothing is mounted. */
  readonly mode: 'v1' | 'hybrid' | 'v2' | 'none';
  /** The directory all paths are relative to. */
  readonly root: string;
  readonly hierarchies: readonly Hierarchy[];
  /** What is there but cannot be used. */
  readonly warnings: readonly string[];
}

/** The texts that tell about cgroups. */
export interface CgroupTexts {
  /** /proc/self/mountinfo. */
  readonly mountinfo: string;
  /** /proc/self/cgroup. */
  readonly selfCgroup: string;
  /** cgroup.controllers at the root of the v2 tree, which is here. */
  controllers?(root: string): string;
}

const usualRoot = '/sys/fs/cgroup';

/** Finds the hierarchies in the kernel's own words. */
export function detectCgroups(texts: CgroupTexts): CgroupHost {
  const mounts = visible(
    parseMountinfo(linesOfCgroups(texts.mountinfo)).filter((m) => m.fsType === 'cgroup' || m.fsType === 'cgroup2'),
  );
  const own = parseSelfCgroup(texts.selfCgroup);
  const warnings: string[] = [];
  const beneath = mounts.filter((m) => m.mountPoint === usualRoot || m.mountPoint.startsWith(`${usualRoot}/`));
  const v2Elsewhere = beneath.length === 0 ? mounts.find((m) => m.fsType === 'cgroup2') : undefined;
  const root = v2Elsewhere?.mountPoint ?? usualRoot;
  const hierarchies: Hierarchy[] = [];
  const seen = new Set<string>();
  for (const mount of v2Elsewhere ? [v2Elsewhere] : beneath) {
    const dir = mount.mountPoint.slice(root.length + 1);
    const readOnly = mount.options.includes('ro') || mount.superOptions.includes('ro');
    if (mount.fsType === 'cgroup2') {
      if (seen.has('2')) continue;
      seen.add('2');
      const controllers = texts.controllers?.(mount.mountPoint).trim().split(' ').filter(Boolean) ?? [];
      hierarchies.push({ version: 2, dir, controllers, readOnly, own: own.get('') ?? '/' });
      continue;
    }
    const found = v1Identity(mount, own);
    if (seen.has(found.key)) continue;
    seen.add(found.key);
    hierarchies.push({
      version: 1,
      dir,
      controllers: found.controllers,
      ...(found.name === undefined ? {} : { name: found.name }),
      readOnly,
      own: own.get(found.key) ?? '/',
    });
  }
  if (hierarchies.length === 0)
    warnings.push(`No cgroup file system is mounted below ${usualRoot}: no limits, no device rules, no statistics`);
  const readOnly = hierarchies.filter((h) => h.readOnly).map((h) => `${root}/${h.dir}`);
  if (readOnly.length > 0) warnings.push(`Mounted read-only, so not used: ${readOnly.join(', ')}`);
  const hasV1 = hierarchies.some((h) => h.version === 1);
  const hasV2 = seen.has('2');
  return { mode: hasV1 ? (hasV2 ? 'hybrid' : 'v1') : hasV2 ? 'v2' : 'none', root, hierarchies, warnings };
}

/** A machine with many containers has thousands of other lines. */
function linesOfCgroups(mountinfo: string): string {
  const lines = mountinfo.split('\n').filter((line) => line.includes(' - cgroup'));
  return lines.join('\n');
}

/** Without the mounts that a later one on the same directory covers. */
function visible(mounts: readonly MountEntry[]): MountEntry[] {
  const last = new Map(mounts.map((m) => [m.mountPoint, m]));
  return mounts.filter((m) => last.get(m.mountPoint) === m);
}

/** Controllers are the super options that /proc/self/cgroup knows: everything else there (`xattr`, `release_agent=`) is an option. */
function v1Identity(
  mount: MountEntry,
  own: ReadonlyMap<string, string>,
): { key: string; controllers: string[]; name?: string } {
  const named = mount.superOptions.find((option) => option.startsWith('name='));
  for (const key of own.keys()) {
    const controllers = key.split(',');
    if (key !== '' && controllers.every((c) => mount.superOptions.includes(c))) {
      return key.startsWith('name=') ? { key, controllers: [], name: key.slice(5) } : { key, controllers };
    }
  }
  return named === undefined
    ? { key: mount.mountPoint, controllers: [] }
    : { key: named, controllers: [], name: named.slice(5) };
}

/** "5:cpu,cpuacct:/a" lines to controller list → path; "" is v2. */
function parseSelfCgroup(text: string): Map<string, string> {
  const own = new Map<string, string>();
  for (const line of text.split('\n')) {
    const first = line.indexOf(':');
    const second = line.indexOf(':', first + 1);
    if (first > 0 && second > 0) own.set(line.slice(first + 1, second), line.slice(second + 1));
  }
  return own;
}

/** Reads what `detectCgroups` needs from this machine: three small files, about 0.1 ms. Keep the result: it does not change while a process lives. */
export function readCgroupHost(): CgroupHost {
  return detectCgroups({
    mountinfo: readFileSync('/proc/self/mountinfo', 'utf8'),
    selfCgroup: readFileSync('/proc/self/cgroup', 'utf8'),
    controllers(root) {
      try {
        return readFileSync(`${root}/cgroup.controllers`, 'utf8');
      } catch {
        // Not readable: it offers nothing to us.
        return '';
      }
    },
  });
}
