import { createParentCgroup, removeCgroup } from '../../runtime/cgroup/mod.ts';
import { cgroupPlace, usableCgroups } from '../cgroups.ts';
import type { Engine } from '../engine.ts';
import type { PodRecord } from './pod.ts';

/** Makes the cgroup of a pod with its limits, or sees that they are in force. Returns warnings. Errors: as `createParentCgroup`. */
export function makePodCgroup(engine: Engine, { sandbox }: Pick<PodRecord, 'sandbox'>): readonly string[] {
  const { cgroupPath, resources } = sandbox;
  if (cgroupPath === undefined) return [];
  return createParentCgroup(usableCgroups(engine, cgroupPath), { cgroupPath, resources });
}

/** Removes it; what a killed removal left in it as well. Idempotent. Errors: failed-precondition while processes live in it. */
export function removePodCgroup(engine: Engine, { sandbox }: Pick<PodRecord, 'sandbox'>): void {
  if (sandbox.cgroupPath !== undefined) removeCgroup(cgroupPlace(engine, { cgroupPath: sandbox.cgroupPath }));
}
