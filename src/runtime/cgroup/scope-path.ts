import { TareError } from '../../base/errors.ts';

/** A container's scope: a transient unit of systemd's. Its processes are below it: the container's in `container`, its monitor in `monitor`. */
export interface ScopePlace {
  /** "tare-ID.scope". */
  readonly unit: string;
  /** The slice it is in, "machine.slice". */
  readonly slice: string;
  /** The scope's cgroup. */
  readonly path: string;
}

/** Below a scope: what systemd delegated must be divided before controllers can be passed on. */
export const SCOPE_MONITOR = 'monitor';
const CONTAINER = 'container';

/** The cgroup of a container whose scope is in the cgroup of a slice. */
export function scopeCgroupPath(sliceCgroup: string, id: string): string {
  return `${sliceCgroup}/tare-${id}.scope/${CONTAINER}`;
}

/** The cgroup of a pod's slice, within the cgroup of another: "machine.slice/machine-tare_pod_ID.slice". */
export function podSliceCgroup(sliceCgroup: string, id: string): string {
  const above = /\/([^/]+)\.slice$/.exec(sliceCgroup)?.[1];
  return `${sliceCgroup}/${above === undefined ? '' : `${above}-`}tare_pod_${id}.slice`;
}

/** The unit whose cgroup this is, if it is a pod's slice. */
export function podSliceOf(cgroupPath: string): string | undefined {
  return /\/([^/]*tare_pod_[0-9a-f]+\.slice)$/.exec(cgroupPath)?.[1];
}

/** The scope a container's cgroup is in, by its path; undefined for one that is in none. Cheap: lists ask it of each container. */
export function scopeOf(cgroupPath: string): ScopePlace | undefined {
  if (!cgroupPath.endsWith(`.scope/${CONTAINER}`)) return undefined;
  const match = /^(.*?(?:\/([^/]+\.slice))?)\/(tare-[0-9a-f]+\.scope)\/[^/]+$/.exec(cgroupPath);
  if (match === null) return undefined;
  const [, parent = '', slice = '-.slice', unit = ''] = match;
  return { unit, slice, path: `${parent}/${unit}` };
}

/**
 * The cgroup of a slice below its manager's: "a-b.slice" is within "a.slice" (systemd.slice(5)). "-.slice" is the manager's own. Errors: invalid for what is no slice's name.
 */
export function sliceCgroup(managerCgroup: string, slice: string): string {
  if (slice === '-.slice') return managerCgroup;
  const name = /^([A-Za-z0-9:_.\\]+(?:-[A-Za-z0-9:_.\\]+)*)\.slice$/.exec(slice)?.[1];
  if (name === undefined || slice.length > 255)
    throw new TareError(
      'invalid',
      `Cannot use cgroup parent ${slice} with systemd: it is not the name of a slice, like machine.slice or ci-builds.slice`,
    );
  const parts = name.split('-');
  return [managerCgroup, ...parts.map((_, index) => `${parts.slice(0, index + 1).join('-')}.slice`)].join('/');
}
