import { dirname, join } from 'node:path';
import type { CgroupHost, Hierarchy } from '../runtime/cgroup/host.ts';

/** What has to be known of the cgroup file system. */
export interface CgroupFiles {
  /** Undefined: there is no such file. */
  isWritable(path: string): boolean | undefined;
  /** "" where there is none. */
  read(path: string): string;
}

const at = (host: CgroupHost, hierarchy: Hierarchy, path: string): string => join(host.root, hierarchy.dir, path);

/**
 * The cgroup below which an unprivileged user's containers go: a child of the highest one above this process that is the user's, on cgroup v2. Moving a process takes the right to write
 * to the nearest common ancestor, so one beside it would not do. "/tare" where nothing was delegated.
 */
export function delegatedParent(host: CgroupHost, files: CgroupFiles): string {
  const v2 = host.hierarchies.find(({ version, readOnly }) => version === 2 && !readOnly);
  if (v2 === undefined) return '/tare';
  let found: string | undefined;
  for (let path = v2.own; path !== '/'; path = dirname(path)) {
    if (files.isWritable(at(host, v2, join(path, 'cgroup.procs'))) !== true) break;
    if (files.isWritable(at(host, v2, path)) !== true) break;
    found = path;
  }
  return found === undefined ? '/tare' : join(found, 'tare');
}

function commonAncestor(a: string, b: string): string {
  const others = b.split('/');
  const same = a.split('/').findIndex((part, index) => part !== others[index]);
  return same < 0 ? a : a.split('/').slice(0, same).join('/') || '/';
}

/** Controllers that systemd passes on to a scope with `Delegate=yes`; of others (hugetlb, rdma, misc) it knows nothing. */
const systemdControllers: ReadonlySet<string> = new Set(['cpu', 'cpuset', 'io', 'memory', 'pids']);

/** cgroup v2 as it is at or below a cgroup of systemd's: of a scope that is not there yet, what it will be made with. Who may write there is systemd's to decide. */
export function scopeHost(host: CgroupHost, path: string, files: CgroupFiles): CgroupHost {
  const v2 = host.hierarchies.find(({ version, readOnly }) => version === 2 && !readOnly);
  if (v2 === undefined) return { ...host, hierarchies: [], warnings: [] };
  let controllers = '';
  for (let place = path; ; place = dirname(place)) {
    controllers = files.read(at(host, v2, join(place, 'cgroup.controllers')));
    if (controllers.trim() !== '' || place === '/' || place === '') break;
  }
  const passed = controllers.split(/\s+/).filter((name) => systemdControllers.has(name));
  return { ...host, hierarchies: [{ ...v2, controllers: passed }], warnings: [] };
}

/** The hierarchies in which the user may make cgroups at `path`, and of cgroup v2 the controllers that reach there. Nothing is said of the others: that is no fault. */
export function delegatedHost(host: CgroupHost, path: string, files: CgroupFiles): CgroupHost {
  const hierarchies = host.hierarchies.flatMap((hierarchy): Hierarchy[] => {
    if (hierarchy.readOnly) return [];
    for (let ancestor = path; ; ancestor = dirname(ancestor)) {
      const writable = files.isWritable(at(host, hierarchy, ancestor));
      if (writable === undefined && ancestor !== '/') continue;
      if (writable !== true) return [];
      if (hierarchy.version === 1) return [hierarchy];
      const common = commonAncestor(hierarchy.own, path);
      if (files.isWritable(at(host, hierarchy, join(common, 'cgroup.procs'))) !== true) return [];
      const controllers = files.read(at(host, hierarchy, join(ancestor, 'cgroup.controllers')));
      return [{ ...hierarchy, controllers: controllers.split(/\s+/).filter(Boolean) }];
    }
  });
  return { ...host, hierarchies, warnings: [] };
}
