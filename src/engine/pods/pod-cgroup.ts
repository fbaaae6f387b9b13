import { createParentCgroup, removeCgroup } from '../../runtime/cgroup/mod.ts';
import { podSliceCgroup, podSliceOf, scopeCgroupPath } from '../../runtime/cgroup/scope-path.ts';
import { cgroupHost, cgroupPathOf, cgroupPlace, usableCgroups } from '../cgroups.ts';
import { findSystemd } from '../cgroup-manager.ts';
import type { Engine } from '../engine.ts';
import { toLaunchError } from '../launch-error.ts';
import type { PodRecord } from './pod.ts';

/** Where the cgroup of a new pod is: with systemd a slice, within the one that scopes of containers are in. */
export function podCgroupPath(engine: Engine, id: string): string {
  const { manager, parent } = engine.cgroups;
  return manager === 'systemd' ? podSliceCgroup(parent, id) : cgroupPathOf(engine, id);
}

/** Where the cgroup of a container of a pod is; its sandbox has the pod's id. */
export function memberCgroupPath(podCgroup: string, pod: string, id: string): string {
  if (podSliceOf(podCgroup) !== undefined) return scopeCgroupPath(podCgroup, id);
  return `${podCgroup}/${id === pod ? 'sandbox' : id}`;
}

/** Makes the cgroup of a pod with its limits, or sees that they are in force. Returns warnings. Errors: as `createParentCgroup`; LaunchError for a slice. */
export async function makePodCgroup(
  engine: Engine,
  { name, sandbox }: Pick<PodRecord, 'name' | 'sandbox'>,
): Promise<readonly string[]> {
  const { cgroupPath, resources } = sandbox;
  if (cgroupPath === undefined) return [];
  const unit = podSliceOf(cgroupPath);
  if (unit === undefined) return createParentCgroup(usableCgroups(engine, cgroupPath), { cgroupPath, resources });
  try {
    const { socket } = findSystemd(engine.rootless, cgroupHost());
    const { startSlice } = await import('../../runtime/cgroup/start-slice.ts');
    return await startSlice({ socket, uid: engine.uid, unit, description: `Tare pod ${name}`, resources });
  } catch (error) {
    throw toLaunchError(error, []);
  }
}

/** Removes it; what a killed removal left in it as well. Idempotent. Errors: failed-precondition while processes live in it. */
export async function removePodCgroup(engine: Engine, { sandbox }: Pick<PodRecord, 'sandbox'>): Promise<void> {
  if (sandbox.cgroupPath === undefined) return;
  const unit = podSliceOf(sandbox.cgroupPath);
  if (unit === undefined) return removeCgroup(cgroupPlace(engine, { cgroupPath: sandbox.cgroupPath }));
  const { endUnit } = await import('../end-scope.ts');
  await endUnit(engine, unit);
}
