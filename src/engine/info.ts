import { existsSync, readFileSync } from 'node:fs';
import { arch, availableParallelism, freemem, hostname, totalmem, uptime } from 'node:os';
import { isKind } from '../base/errors.ts';
import type { CgroupManager } from './cgroup-manager.ts';
import type { Engine } from './engine.ts';
import { type Lack, lacksOf } from './lacks.ts';
import { listContainers } from './list.ts';
import { readMachine } from './machine.ts';

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

function goArch(): string {
  return arch() === 'x64' ? 'amd64' : arch();
}

/** Versions of the parts. */
export function engineVersion(): VersionInfo {
  return {
    Version: tareVersion(),
    NodeVersion: process.version,
    OsArch: `linux/${goArch()}`,
    MonitorProtocol: 1,
  };
}

/** What `tare info` tells of the machine, of Tare's places and of what is missing, in podman's shape. Sizes in bytes. */
export interface EngineInfo {
  readonly host: {
    readonly hostname: string;
    readonly os: 'linux';
    readonly distribution: string;
    readonly kernel: string;
    readonly arch: string;
    readonly cpus: number;
    readonly memTotal: number;
    readonly memFree: number;
    readonly uptimeSeconds: number;
    readonly cgroupVersion: string;
    readonly cgroupManager: CgroupManager;
    /** Why it is this one. */
    readonly cgroupManagerReason: string;
    readonly cgroupControllers: readonly string[];
    readonly security: {
      readonly rootless: boolean;
      readonly seccompEnabled: boolean;
      readonly apparmorEnabled: boolean;
      readonly selinuxEnabled: boolean;
    };
    readonly userNamespaces: { readonly max: number; readonly subUids: number; readonly subGids: number };
    readonly kernelFeatures: Readonly<Record<string, boolean | number>>;
    readonly programs: Readonly<Record<string, string>>;
  };
  readonly store: {
    readonly root: string;
    readonly runRoot: string;
    readonly graphRoot: string;
    readonly graphDriverName: 'overlay';
    /** What mounts the layers of images instead of the kernel; empty where nothing does. */
    readonly graphOptions: { readonly 'overlay.mount_program'?: { readonly Executable: string } };
    /** Undefined while the root is not there yet. */
    readonly freeBytes?: number;
    readonly containerStore: Readonly<Record<'number' | 'running' | 'paused' | 'stopped', number>>;
    /** Undefined where the image store cannot be used. */
    readonly imageStore?: { readonly number: number };
  };
  /** Empty: this machine has everything. */
  readonly missing: readonly Lack[];
  readonly version: VersionInfo;
}

/** Looks at the machine and at Tare's places; makes nothing. Errors: none for what is missing: that is what it tells. */
export async function engineInfo(engine: Engine): Promise<EngineInfo> {
  const machine = readMachine(engine);
  const states = statesOf(engine);
  const count = (wanted: string): number => states?.filter((state) => state === wanted).length ?? 0;
  const number = states?.length ?? 0;
  const [running, paused] = [count('running'), count('paused')];
  const imageStore = await countImages(engine);
  return {
    host: {
      hostname: hostname(),
      os: 'linux',
      distribution: distribution(),
      kernel: machine.kernel,
      arch: goArch(),
      cpus: availableParallelism(),
      memTotal: totalmem(),
      memFree: freemem(),
      uptimeSeconds: Math.floor(uptime()),
      cgroupVersion: machine.cgroups.mode,
      cgroupManager: engine.cgroups.manager,
      cgroupManagerReason: engine.cgroups.reason,
      cgroupControllers: machine.cgroups.controllers,
      security: {
        rootless: machine.uid !== 0,
        seccompEnabled: machine.security.seccomp,
        apparmorEnabled: machine.security.apparmor,
        selinuxEnabled: machine.security.selinux,
      },
      userNamespaces: { max: machine.maxUserNamespaces ?? 0, subUids: machine.subUids, subGids: machine.subGids },
      kernelFeatures: { ...machine.features },
      programs: Object.fromEntries(Object.entries(machine.programs).map(([name, path]) => [name, path ?? ''])),
    },
    store: {
      root: engine.root,
      runRoot: engine.runRoot,
      graphRoot: engine.storageRoot,
      graphDriverName: 'overlay',
      graphOptions: machine.storageFuse
        ? { 'overlay.mount_program': { Executable: machine.programs['fuse-overlayfs'] ?? '' } }
        : {},
      ...(machine.rootFreeBytes === undefined ? {} : { freeBytes: machine.rootFreeBytes }),
      containerStore: { number, running, paused, stopped: number - running - paused },
      ...(imageStore === undefined ? {} : { imageStore }),
    },
    missing: states === undefined ? [noRights(engine), ...lacksOf(machine)] : lacksOf(machine),
    version: engineVersion(),
  };
}

/** Undefined where they may not be read. */
function statesOf(engine: Engine): readonly string[] | undefined {
  try {
    return listContainers(engine).map(({ state }) => state);
  } catch (error) {
    if (isKind(error, 'denied')) return undefined;
    throw error;
  }
}

function noRights({ root }: Engine): Lack {
  const todo = 'run as its owner (sudo), or give another --root';
  return { what: `the right to read ${root}`, effect: 'its containers are not counted', todo };
}

/** A store that is not there yet is not made for being counted. */
async function countImages(engine: Engine): Promise<{ number: number } | undefined> {
  if (!existsSync(engine.storageRoot)) return { number: 0 };
  try {
    return { number: (await engine.openStore()).images().length };
  } catch {
    return undefined;
  }
}

function distribution(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
  } catch {
    return '';
  }
}
