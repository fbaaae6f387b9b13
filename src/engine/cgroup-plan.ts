import { dirname, join } from 'node:path';
import { type CgroupPlan, planCgroup } from '../runtime/cgroup/mod.ts';
import { scopeOf } from '../runtime/cgroup/scope-path.ts';
import type { LinuxResources } from '../spec/runtime-config.ts';
import { cgroupFiles, usableCgroups } from './cgroups.ts';
import type { Engine } from './engine.ts';
import type { ContainerRecord } from './record.ts';

/** The cgroup of a container with its limits. In a pod's cgroup there is no place for its monitor: that is beside the pod's. */
export function containerCgroupPlan(
  engine: Pick<Engine, 'rootless'>,
  { cgroupPath, pod, sandbox }: Pick<ContainerRecord, 'cgroupPath' | 'pod' | 'sandbox'>,
  resources: LinuxResources | undefined,
): CgroupPlan {
  const inPod = (pod ?? sandbox)?.cgroupPath;
  const monitors = inPod === undefined ? {} : { monitorsIn: dirname(inPod) };
  const usable = usableCgroups(engine, cgroupPath);
  const scope = scopeOf(cgroupPath);
  if (engine.rootless === undefined) {
    const plan = planCgroup(usable, { cgroupPath, resources: resources ?? {}, ...monitors });
    return scope === undefined ? plan : insideScope(plan);
  }
  // In a user namespace nobody may set device rules, and nobody can make a device.
  const plan = planCgroup(usable, {
    cgroupPath,
    resources: resources ?? {},
    devices: [{ allow: true, access: 'rwm' }],
    ...monitors,
  });
  if (scope !== undefined) return { ...insideScope(plan), warnings: [] };
  return {
    ...plan,
    parentWrites: plan.parentWrites.filter(({ file }) => cgroupFiles.isWritable(join(plan.root, file)) !== false),
    warnings: [],
  };
}

/** Everything above it is systemd's, or was made when the scope was: the monitor is in it. */
function insideScope(plan: CgroupPlan): CgroupPlan {
  const { monitors: _none, ...rest } = plan;
  return { ...rest, parents: [], parentWrites: [], leave: [] };
}
