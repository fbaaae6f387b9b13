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
import type { LinuxResources } from '../spec/runtime-config.ts';
import { delegatedHost, delegatedParent } from './delegated-cgroups.ts';
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

/** The hierarchies in which the engine may make cgroups below `parent`: for an unprivileged user those that were delegated. */
export function usableCgroups(engine: Pick<Engine, 'rootless'>, parent: string): CgroupHost {
  return engine.rootless === undefined ? cgroupHost() : delegatedHost(cgroupHost(), parent, files);
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

/** Nobody asked for the default limit of processes: where it cannot be set there is none (-1), and the start warns of the unusable cgroups. */
export function defaultPidsLimit(engine: Engine): number {
  const usable = usableCgroups(engine, engine.cgroupParent).hierarchies.some(
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
  if (engine.rootless === undefined) return planCgroup(cgroupHost(), { cgroupPath, resources: resources ?? {} });
  const usable = usableCgroups(engine, cgroupPath);
  // In a user namespace nobody may set device rules, and nobody can make a device.
  const plan = planCgroup(usable, {
    cgroupPath,
    resources: resources ?? {},
    devices: [{ allow: true, access: 'rwm' }],
  });
  return {
    ...plan,
    parentWrites: plan.parentWrites.filter(({ file }) => files.isWritable(join(plan.root, file)) !== false),
    warnings: [],
  };
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

/** "/tare/ID". */
export function cgroupPathOf(engine: Engine, id: string): string {
  return `${engine.cgroupParent}/${id}`;
}

/** The parent for the containers of an unprivileged user, who chose none. */
export function rootlessCgroupParent(): string {
  return delegatedParent(cgroupHost(), files);
}
