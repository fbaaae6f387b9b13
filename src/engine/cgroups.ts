import { accessSync, constants, readFileSync } from 'node:fs';
import { isKind } from '../base/errors.ts';
import { readCgroupHost, type CgroupHost } from '../runtime/cgroup/host.ts';
import { type CgroupPlace, isCgroupFrozen, locateCgroup, locateFreezer } from '../runtime/cgroup/mod.ts';
import { scopeCgroupPath, scopeOf } from '../runtime/cgroup/scope-path.ts';
import { type CgroupChoice, type CgroupWishes, chooseCgroups } from './cgroup-manager.ts';
import { type CgroupFiles, delegatedHost, scopeHost } from './delegated-cgroups.ts';
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
  if (scope !== undefined) return scopeHost(cgroupHost(), scope.path, cgroupFiles);
  return engine.rootless === undefined ? cgroupHost() : delegatedHost(cgroupHost(), path, cgroupFiles);
}

/** The cgroup file system of this machine. */
export const cgroupFiles: CgroupFiles = {
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
  return managerCgroup === undefined
    ? usableCgroups(engine, parent)
    : scopeHost(cgroupHost(), managerCgroup, cgroupFiles);
}

/** Nobody asked for the default limit of processes: where it cannot be set there is none (-1), and the start warns of the unusable cgroups. */
export function defaultPidsLimit(engine: Engine): number {
  const usable = nextCgroups(engine).hierarchies.some(
    ({ controllers, readOnly }) => !readOnly && controllers.includes('pids'),
  );
  return usable ? DEFAULT_PIDS_LIMIT : -1;
}

/** Where a container's cgroup is, whatever parent this engine would choose. */
export function containerCgroup(engine: Engine, id: string, record = findRecord(engine, id)): CgroupPlace {
  // Without a record it died before it had a cgroup.
  return cgroupPlace(engine, { cgroupPath: record?.cgroupPath ?? cgroupPathOf(engine, id) });
}

/** Where the cgroup of a container with a record is. */
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
  return chooseCgroups(wishes, cgroupHost, cgroupFiles);
}
