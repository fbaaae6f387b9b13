import { readCgroupHost, type CgroupHost } from '../runtime/cgroup/host.ts';
import { planCgroup, type CgroupPlan } from '../runtime/cgroup/mod.ts';
import type { LinuxResources } from '../spec/runtime-config.ts';
import type { Engine } from './engine.ts';

let host: CgroupHost | undefined;

/** The machine's cgroup hierarchies, read once per process. */
export function cgroupHost(): CgroupHost {
  host ??= readCgroupHost();
  return host;
}

/** The cgroup of a container with its limits. */
export function containerCgroupPlan(cgroupPath: string, resources: LinuxResources | undefined): CgroupPlan {
  return planCgroup(cgroupHost(), { cgroupPath, resources: resources ?? {} });
}

/** Where a container's cgroup is, to kill or remove it, whatever its record says. */
export function containerCgroup(engine: Engine, id: string): CgroupPlan {
  return containerCgroupPlan(cgroupPathOf(engine, id), undefined);
}

/** "/tare/ID". */
export function cgroupPathOf(engine: Engine, id: string): string {
  return `${engine.cgroupParent}/${id}`;
}
