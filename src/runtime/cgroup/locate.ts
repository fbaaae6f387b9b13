import { TareError } from '../../base/errors.ts';
import type { CgroupHost, Hierarchy } from './host.ts';
import type { CgroupPlan } from './plan.ts';

/** Where a container's cgroup is in each hierarchy: what is known of it without its limits. */
export type CgroupPlace = Pick<
  CgroupPlan,
  'root' | 'dirs' | 'tasks' | 'unified' | 'controllers' | 'kill' | 'procs' | 'freezer' | 'oom'
>;

/** The parent of the cgroups of containers that name none. */
export const defaultCgroupParent = '/tare';

/**
 * Finds the directories of a container's cgroup, there or not. Pure and cheap: lists ask it of each container.
 *
 * Errors: invalid, unsupported for a path that is none of ours.
 */
export function locateCgroup(host: CgroupHost, cgroupPath: string): CgroupPlace {
  const path = cgroupComponents(cgroupPath).join('/');
  const usable = host.hierarchies.filter((h) => !h.readOnly);
  const v2 = usable.find((h) => h.version === 2);
  const v1 = usable.filter((h) => h.version === 1);
  const controllers: Record<string, string> = {};
  for (const hierarchy of usable)
    for (const name of hierarchy.controllers) controllers[name] = joinPath(hierarchy.dir, path);
  const unified = v2 && joinPath(v2.dir, path);
  const freezer = controllers['freezer'];
  const procs = unified ?? freezer ?? controllers['pids'] ?? (v1[0] && joinPath(v1[0].dir, path));
  const memory = controllers['memory'];
  const memoryIsV2 = v2?.controllers.includes('memory') ?? false;
  return {
    root: host.root,
    dirs: [...v1, ...(v2 ? [v2] : [])].map((h) => joinPath(h.dir, path)),
    tasks: v1.map((h) => `${joinPath(h.dir, path)}/tasks`),
    ...(unified === undefined ? {} : { unified }),
    controllers,
    kill: unified === undefined ? '' : `${unified}/cgroup.kill`,
    procs: procs === undefined ? '' : `${procs}/cgroup.procs`,
    freezer: freezer === undefined || v1.length === 0 ? '' : `${freezer}/freezer.state`,
    ...(memory === undefined
      ? {}
      : { oom: { file: `${memory}/${memoryIsV2 ? 'memory.events' : 'memory.oom_control'}`, key: 'oom_kill' } }),
  };
}

/** Where a look tells whether a container's cgroup stands still: the cheap part of `locateCgroup`. Errors: as that. */
export function locateFreezer(host: CgroupHost, cgroupPath: string): Pick<CgroupPlace, 'root' | 'unified' | 'freezer'> {
  const path = cgroupComponents(cgroupPath).join('/');
  const usable = (h: Hierarchy): boolean => !h.readOnly;
  const v2 = host.hierarchies.find((h) => h.version === 2 && usable(h));
  if (v2 !== undefined) return { root: host.root, unified: joinPath(v2.dir, path), freezer: '' };
  const v1 = host.hierarchies.find((h) => h.controllers.includes('freezer') && usable(h));
  return { root: host.root, freezer: v1 === undefined ? '' : `${joinPath(v1.dir, path)}/freezer.state` };
}

/** A path below a hierarchy's directory, which may be its root. */
export const joinPath = (dir: string, path: string): string => (dir === '' ? path : `${dir}/${path}`);

/** The components of a cgroup path. Errors: invalid, unsupported for systemd's "slice:prefix:name". */
export function cgroupComponents(path: string): string[] {
  if (!path.startsWith('/') && /^[^/]*\.slice:[^/:]*:[^/:]*$/.test(path)) {
    throw new TareError(
      'unsupported',
      `Cannot use cgroup path ${path}: it is in systemd's form, and cgroups are made in the file system here; give a path like /parent/name`,
    );
  }
  const components = (path.startsWith('/') ? path : `${defaultCgroupParent}/${path}`)
    .split('/')
    .filter((part) => part !== '' && part !== '.');
  if (path === '' || components.length === 0)
    throw new TareError('invalid', 'Cannot use the root cgroup for a container: give a path like /parent/name');
  for (const part of components) {
    if (part === '..' || part.length > 255 || /[\n\0]/.test(part))
      throw new TareError(
        'invalid',
        `Cannot use cgroup path ${JSON.stringify(path)}: ${JSON.stringify(part)} is not a directory name`,
      );
  }
  return components;
}
