import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { hasMountProgram } from '../storage/mount-program.ts';
import { type Features, kernelFeatures } from '../sys/probe.ts';
import { openDirectory } from '../sys/open.ts';
import { statfs } from '../sys/stat.ts';
import { cgroupHost, nextCgroups } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { findProgram } from './find-program.ts';
import { FUSE_OVERLAYFS, fuseProgram } from './fuse-overlay.ts';

/** What a machine is, as far as containers care. */
export interface Machine {
  readonly kernel: string;
  readonly features: Features;
  /** The controllers are those that this user may set limits with. */
  readonly cgroups: {
    readonly mode: string;
    readonly controllers: readonly string[];
    readonly warnings: readonly string[];
    /** Why the manager that was asked for cannot be used. */
    readonly managerProblem?: string;
  };
  readonly uid: number;
  readonly userName: string;
  /** How many user namespaces the kernel allows; 0: none. Undefined where it has none at all. */
  readonly maxUserNamespaces?: number;
  /** The kernel lets only root make user namespaces, by this sysctl. */
  readonly userNamespaceBarrier?: string;
  /** Ids of this user in /etc/subuid and /etc/subgid. */
  readonly subUids: number;
  readonly subGids: number;
  readonly security: { readonly seccomp: boolean; readonly apparmor: boolean; readonly selinux: boolean };
  /** Programs that were looked for in PATH: where they are, or nothing. */
  readonly programs: Readonly<Record<string, string | undefined>>;
  /** Free bytes where containers write, and where images are; undefined when the place is not there yet. */
  readonly rootFreeBytes?: number;
  readonly storageFreeBytes?: number;
  readonly storageProblem?: string;
  /** The layers of the image store are mounted with fuse-overlayfs. */
  readonly storageFuse: boolean;
  /** Why /dev/fuse is of no use to this user; undefined: it is. */
  readonly fuseDeviceProblem?: 'missing' | 'denied';
}

/** Programs that something of Tare calls. */
const PROGRAMS = ['newuidmap', 'newgidmap'] as const;

/** Looks at the machine. Changes nothing. */
export function readMachine(engine: Engine): Machine {
  const host = cgroupHost();
  const usable = nextCgroups(engine).hierarchies.filter(({ readOnly }) => !readOnly);
  const maxUserNamespaces = number('/proc/sys/user/max_user_namespaces');
  const barrier = userNamespaceBarrier();
  const userName = nameOf(engine.uid);
  const rootFreeBytes = freeBytes(engine.root);
  const storageFreeBytes = freeBytes(engine.storageRoot);
  const features = kernelFeatures();
  return {
    kernel: release(),
    features,
    cgroups: {
      mode: host.mode,
      controllers: [...new Set(usable.flatMap(({ controllers }) => controllers))],
      warnings: host.warnings,
      ...(engine.cgroups.problem === undefined ? {} : { managerProblem: engine.cgroups.problem }),
    },
    uid: engine.uid,
    userName,
    ...(maxUserNamespaces === undefined ? {} : { maxUserNamespaces }),
    ...(barrier === undefined ? {} : { userNamespaceBarrier: barrier }),
    subUids: countSubIds(text('/etc/subuid'), userName, engine.uid),
    subGids: countSubIds(text('/etc/subgid'), userName, engine.uid),
    security: {
      seccomp: features.seccompFlags >= 0,
      apparmor: text('/sys/module/apparmor/parameters/enabled').trim() === 'Y',
      selinux: existsSync('/sys/fs/selinux/enforce'),
    },
    programs: {
      ...Object.fromEntries(PROGRAMS.map((name) => [name, findProgram(name, engine.env['PATH'])])),
      [FUSE_OVERLAYFS]: fuseProgram(engine),
    },
    storageFuse: engine.mountProgram !== undefined || hasMountProgram(join(engine.storageRoot, 'overlay')),
    ...fuseDevice(),
    ...(rootFreeBytes === undefined ? {} : { rootFreeBytes }),
    ...(storageFreeBytes === undefined ? {} : { storageFreeBytes }),
    ...(engine.storageProblem === undefined ? {} : { storageProblem: engine.storageProblem }),
  };
}

function fuseDevice(): Pick<Machine, 'fuseDeviceProblem'> {
  if (!existsSync('/dev/fuse')) return { fuseDeviceProblem: 'missing' };
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK);
    return {};
  } catch {
    return { fuseDeviceProblem: 'denied' };
  }
}

/** How many ids a user has in the text of /etc/subuid: lines `user:start:count`, by name or number. */
export function countSubIds(lines: string, userName: string, uid: number): number {
  let ids = 0;
  for (const line of lines.split('\n')) {
    const match = /^([^:#]+):(\d{1,10}):(\d{1,10})\s*$/.exec(line);
    if (match?.[1] === userName || match?.[1] === String(uid)) ids += Number(match[3]);
  }
  return ids;
}

/** Debian's and Ubuntu's switches. */
function userNamespaceBarrier(): string | undefined {
  if (number('/proc/sys/kernel/unprivileged_userns_clone') === 0) return 'kernel.unprivileged_userns_clone=1';
  if (number('/proc/sys/kernel/apparmor_restrict_unprivileged_userns') === 1)
    return 'kernel.apparmor_restrict_unprivileged_userns=0';
  return undefined;
}

/** The number where /etc/passwd has no line. */
function nameOf(uid: number): string {
  const lines = text('/etc/passwd').split('\n');
  return lines.find((line) => line.split(':')[2] === String(uid))?.split(':')[0] ?? String(uid);
}

/** Free bytes of the file system a directory is on. */
export function freeBytes(path: string): number | undefined {
  try {
    using dir = openDirectory(path);
    return statfs(dir).availableBytes;
  } catch {
    return undefined;
  }
}

function number(path: string): number | undefined {
  const value = text(path).trim();
  return /^\d+$/.test(value) ? Number(value) : undefined;
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
