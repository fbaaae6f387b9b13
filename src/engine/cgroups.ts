import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isKind } from '../base/errors.ts';
import { readCgroupHost, type CgroupHost } from '../runtime/cgroup/host.ts';
import {
  type CgroupPlace,
  type CgroupPlan,
  isCgroupFrozen,
  locateCgroup,
  locateFreezer,
  planCgroup,
} from '../runtime/cgroup/mod.ts';
import { scopeCgroupPath, scopeOf } from '../runtime/cgroup/scope-path.ts';
import type { LinuxResources } from '../spec/runtime-config.ts';
import { type CgroupChoice, type CgroupWishes, chooseCgroups } from './cgroup-manager.ts';
import { delegatedHost, scopeHost } from './delegated-cgroups.ts';
import type { Engine } from './engine.ts';
import { type ContainerRecord, findRecord } from './record.ts';

/** What podman sets: enough for anything but a fork bomb. */
const DEFAULT_PIDS_LIMIT = 2048;

let host: CgroupHost | undefined;

/** The machine's cgroup hierarchies, read once per process. */
export function cgroupHost(): CgroupHost {
  host ??= readCgroupHost();
  return host;
}

/** The hierarchies in which the engine may make cgroups at or below `path`: for an unprivileged user those that were delegated, in a scope what systemd passed on. */
export function usableCgroups(engine: Pick<Engine, 'rootless'>, path: string): CgroupHost {
  const scope = scopeOf(path);
  if (scope !== undefined) return scopeHost(cgroupHost(), scope.path, files);
  return engine.rootless === undefined ? cgroupHost() : delegatedHost(cgroupHost(), path, files);
}

const files = {
  isWritable(path: string): boolean | undefined {
    try {
      accessSync(path, constants.W_OK);
      return true;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT' ? undefined : false;
    }
  },
  read(path: string): string {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  },
};

/** The hierarchies in which the engine's next container will have a cgroup. */
export function nextCgroups(engine: Pick<Engine, 'rootless' | 'cgroups'>): CgroupHost {
  const { managerCgroup, parent } = engine.cgroups;
  return managerCgroup === undefined ? usableCgroups(engine, parent) : scopeHost(cgroupHost(), managerCgroup, files);
}

/** Nobody asked for the default limit of processes: where it cannot be set there is none (-1), and the start warns of the unusable cgroups. */
export function defaultPidsLimit(engine: Engine): number {
  const usable = nextCgroups(engine).hierarchies.some(
    ({ controllers, readOnly }) => !readOnly && controllers.includes('pids'),
  );
  return usable ? DEFAULT_PIDS_LIMIT : -1;
}

/** The cgroup of a container with its limits. */
export function containerCgroupPlan(
  engine: Pick<Engine, 'rootless'>,
  cgroupPath: string,
  resources: LinuxResources | undefined,
): CgroupPlan {
  const usable = usableCgroups(engine, cgroupPath);
  const scope = scopeOf(cgroupPath);
  if (engine.rootless === undefined) {
    const plan = planCgroup(usable, { cgroupPath, resources: resources ?? {} });
    return scope === undefined ? plan : insideScope(plan);
  }
  // In a user namespace nobody may set device rules, and nobody can make a device.
  const plan = planCgroup(usable, {
    cgroupPath,
    resources: resources ?? {},
    devices: [{ allow: true, access: 'rwm' }],
  });
  if (scope !== undefined) return { ...insideScope(plan), warnings: [] };
  return {
    ...plan,
    parentWrites: plan.parentWrites.filter(({ file }) => files.isWritable(join(plan.root, file)) !== false),
    warnings: [],
  };
}

/** Everything above it is systemd's, or was made when the scope was: the monitor is in it. */
function insideScope(plan: CgroupPlan): CgroupPlan {
  const { monitors: _none, ...rest } = plan;
  return { ...rest, parents: [], parentWrites: [], leave: [] };
}

/** Where a container's cgroup is, to kill or remove it, whatever parent this engine would choose. */
export function containerCgroup(engine: Engine, id: string, record = findRecord(engine, id)): CgroupPlan {
  // Without a record it died before it had a cgroup.
  return containerCgroupPlan(engine, record?.cgroupPath ?? cgroupPathOf(engine, id), undefined);
}

/** Where the cgroup of a container is, without planning it. */
export function cgroupPlace(
  engine: Pick<Engine, 'rootless'>,
  record: Pick<ContainerRecord, 'cgroupPath'>,
): CgroupPlace {
  return locateCgroup(usableCgroups(engine, record.cgroupPath), record.cgroupPath);
}

/** Whether all processes of a running container stand still, whoever paused it. False when its cgroup is gone, or nothing here can pause. */
export function isPaused(record: Pick<ContainerRecord, 'cgroupPath'>): boolean {
  try {
    return isCgroupFrozen(locateFreezer(cgroupHost(), record.cgroupPath));
  } catch (error) {
    if (isKind(error, 'not-found') || isKind(error, 'unsupported')) return false;
    throw error;
  }
}

/** "/tare/ID", or within a scope of systemd's. */
export function cgroupPathOf(engine: Pick<Engine, 'cgroups'>, id: string): string {
  const { manager, parent } = engine.cgroups;
  return manager === 'systemd' ? scopeCgroupPath(parent, id) : `${parent}/${id}`;
}

/** Who makes the cgroups of an engine's containers. */
export function cgroupChoice(wishes: CgroupWishes): CgroupChoice {
  return chooseCgroups(wishes, cgroupHost, files);
}
