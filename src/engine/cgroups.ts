import { readCgroupHost, type CgroupHost } from '../runtime/cgroup/host.ts';
import { planCgroup, type CgroupPlan } from '../runtime/cgroup/mod.ts';
import type { LinuxResources } from '../spec/runtime-config.ts';
import type { Engine } from './engine.ts';
import { findRecord } from './record.ts';

/** What podman sets: enough for anything but a fork bomb. */
const DEFAULT_PIDS_LIMIT = 2048;

let host: CgroupHost | undefined;

/** The machine's cgroup hierarchies, read once per process. */
export function cgroupHost(): CgroupHost {
  host ??= readCgroupHost();
  return host;
}

/** Nobody asked for the default limit of processes: where it cannot be set there is none (-1), and the start warns of the unusable cgroups. */
export function defaultPidsLimit(): number {
  const usable = cgroupHost().hierarchies.some(
    ({ controllers, readOnly }) => !readOnly && controllers.includes('pids'),
  );
  return usable ? DEFAULT_PIDS_LIMIT : -1;
}

/** The cgroup of a container with its limits. */
export function containerCgroupPlan(cgroupPath: string, resources: LinuxResources | undefined): CgroupPlan {
  return planCgroup(cgroupHost(), { cgroupPath, resources: resources ?? {} });
}

/** Where a container's cgroup is, to kill or remove it, whatever parent this engine would choose. */
export function containerCgroup(engine: Engine, id: string, record = findRecord(engine, id)): CgroupPlan {
  // Without a record it died before it had a cgroup.
  return containerCgroupPlan(record?.cgroupPath ?? cgroupPathOf(engine, id), undefined);
}

/** "/tare/ID". */
export function cgroupPathOf(engine: Engine, id: string): string {
  return `${engine.cgroupParent}/${id}`;
}
