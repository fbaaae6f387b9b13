import { readFileSync } from 'node:fs';
import { arch, availableParallelism, hostname, release, totalmem } from 'node:os';
import { openDirectory } from '../sys/open.ts';
import { statfs } from '../sys/stat.ts';
import { cgroupHost } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { listContainers } from './list.ts';

/** The version of this package. */
export function tareVersion(): string {
  const text = readFileSync(`${import.meta.dirname}/../../package.json`, 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** What `tare version` tells. */
export interface VersionInfo {
  readonly Version: string;
  readonly NodeVersion: string;
  readonly OsArch: string;
  readonly MonitorProtocol: number;
}

/** Versions of the parts. */
export function engineVersion(): VersionInfo {
  return {
    Version: tareVersion(),
    NodeVersion: process.version,
    OsArch: `linux/${arch() === 'x64' ? 'amd64' : arch()}`,
    MonitorProtocol: 1,
  };
}

/** What `tare info` tells of the machine, of Tare's places and of what is missing. Sizes in bytes. */
export function engineInfo(engine: Engine): object {
  const containers = listContainers(engine);
  const count = (state: string): number => containers.filter((container) => container.state === state).length;
  const host = cgroupHost();
  const controllers = host.hierarchies.flatMap((hierarchy) => hierarchy.controllers);
  const missing: string[] = [...host.warnings];
  for (const controller of ['memory', 'pids', 'cpu', 'cpuset']) {
    if (!controllers.includes(controller)) missing.push(`cgroup controller ${controller}: its limits cannot be set`);
  }
  return {
    host: {
      hostname: hostname(),
      kernel: release(),
      arch: arch(),
      cpus: availableParallelism(),
      memTotal: totalmem(),
      cgroupVersion: host.mode,
      cgroupControllers: controllers,
    },
    store: {
      root: engine.root,
      runRoot: engine.runRoot,
      graphRoot: engine.storageRoot,
      graphDriverName: 'overlay',
      freeBytes: freeBytes(engine.root),
      containers: {
        number: containers.length,
        running: count('running'),
        created: count('created'),
        exited: count('exited'),
      },
    },
    missing,
    version: engineVersion(),
  };
}

function freeBytes(path: string): number | undefined {
  try {
    using dir = openDirectory(path);
    return statfs(dir).availableBytes;
  } catch {
    return undefined;
  }
}
