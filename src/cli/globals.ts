import { resolve } from 'node:path';
import type { CgroupManager } from '../engine/cgroup-manager.ts';
import type { EngineOptions } from '../engine/engine.ts';
import { rootlessUser } from '../engine/rootless.ts';
import { standardPlaces } from '../engine/storage-places.ts';
import type { Host } from './context.ts';
import type { FlagTable, FlagValues } from './flag-table.ts';
import { UsageError } from './usage-error.ts';

/** The flags before the verb. */
export const globalFlags = {
  root: {
    type: 'text',
    value: 'DIR',
    standard: '/var/lib/tare',
    help: 'Containers and their writable layers (TARE_ROOT; a user: ~/.local/share/tare)',
  },
  runroot: {
    type: 'text',
    value: 'DIR',
    standard: '/run/tare',
    help: 'Sockets and mount points (TARE_RUNROOT; a user: $XDG_RUNTIME_DIR/tare)',
  },
  'storage-root': {
    type: 'text',
    value: 'DIR',
    standard: '/var/lib/containers/storage',
    help: 'Image store, shared with podman (TARE_STORAGE_ROOT, storage.conf; a user: ~/.local/share/containers/storage)',
  },
  'storage-runroot': {
    type: 'text',
    value: 'DIR',
    standard: '/run/containers/storage',
    help: 'Run-time state of the image store (TARE_STORAGE_RUNROOT, storage.conf; a user: $XDG_RUNTIME_DIR/containers)',
  },
  'keep-blobs': {
    type: 'switch',
    standard: 'true',
    help: 'Keep pulled blobs as they came, so that a push elsewhere sends the same bytes (TARE_KEEP_BLOBS)',
  },
  'default-network': {
    type: 'text',
    value: 'NETWORK',
    standard: 'bridge',
    help: 'Network of containers that ask for none in particular (TARE_DEFAULT_NETWORK)',
  },
  'cgroup-manager': {
    type: 'text',
    choices: ['cgroupfs', 'systemd'],
    standard: 'cgroupfs',
    help: "Who makes the containers' cgroups; systemd: a scope for each (TARE_CGROUP_MANAGER; a user whose session has no cgroup of its own: systemd)",
  },
  'cgroup-parent': {
    type: 'text',
    value: 'PATH|SLICE',
    standard: '/tare',
    help: "Parent of the containers' cgroups; with systemd a slice (machine.slice; a user: user.slice)",
  },
  'log-level': {
    type: 'text',
    choices: ['debug', 'info', 'warn', 'error'],
    standard: 'warn',
    help: 'debug: errors with their causes; info: notes; error: no warnings',
  },
  debug: { type: 'switch', short: 'D', help: 'The same as --log-level debug' },
  version: { type: 'switch', short: 'v', help: 'Print the version' },
} as const satisfies FlagTable;

/** The global flags, parsed. */
export type GlobalValues = FlagValues<typeof globalFlags>;

/** Where the engine keeps what: flag, else environment, else storage.conf, else the system's place. The monitor gets the same as command line, for `cleanup`. */
export function engineOptions(flags: GlobalValues, host: Host): EngineOptions {
  const uid = process.getuid?.() ?? 0;
  const rootless = rootlessUser(host.env, uid);
  const configured = standardPlaces(host.env, rootless);
  const place = (flag: 'root' | 'runroot' | 'storage-root' | 'storage-runroot', variable: string, standard: string) =>
    resolve(host.cwd, flags[flag] || host.env[variable] || standard);
  const root = place('root', 'TARE_ROOT', configured.root);
  const runRoot = place('runroot', 'TARE_RUNROOT', configured.runRoot);
  const storageRoot = place('storage-root', 'TARE_STORAGE_ROOT', configured.storageRoot);
  const storageRunRoot = place('storage-runroot', 'TARE_STORAGE_RUNROOT', configured.storageRunRoot);
  const cgroupParent = flags['cgroup-parent'];
  const defaultNetwork = flags['default-network'] || host.env['TARE_DEFAULT_NETWORK'] || undefined;
  const cgroupManager = managerOf(flags['cgroup-manager'] ?? host.env['TARE_CGROUP_MANAGER']);
  const self = [
    host.launcher,
    `--root=${root}`,
    `--runroot=${runRoot}`,
    `--storage-root=${storageRoot}`,
    `--storage-runroot=${storageRunRoot}`,
  ];
  if (cgroupManager !== undefined) self.push(`--cgroup-manager=${cgroupManager}`);
  if (cgroupParent !== undefined) self.push(`--cgroup-parent=${cgroupParent}`);
  return {
    root,
    runRoot,
    storageRoot,
    storageRunRoot,
    self,
    env: host.env,
    uid: rootless?.uid ?? uid,
    ...(rootless === undefined ? {} : { rootless }),
    keepBlobs: flags['keep-blobs'] ?? !/^(0|false|no)$/i.test(host.env['TARE_KEEP_BLOBS'] ?? ''),
    ...(defaultNetwork === undefined ? {} : { defaultNetwork }),
    ...(cgroupManager === undefined ? {} : { cgroupManager }),
    ...(cgroupParent === undefined ? {} : { cgroupParent }),
    ...(configured.mountProgram === undefined ? {} : { mountProgram: configured.mountProgram }),
    ...(storageRoot === configured.storageRoot && configured.storageProblem !== undefined
      ? { storageProblem: configured.storageProblem }
      : {}),
  };
}

/** Of the flag, which was checked, or of the environment. */
function managerOf(wanted: string | undefined): CgroupManager | undefined {
  if (wanted === undefined || wanted === '') return undefined;
  if (wanted === 'cgroupfs' || wanted === 'systemd') return wanted;
  throw new UsageError(`Cannot use TARE_CGROUP_MANAGER=${wanted}: it must be cgroupfs or systemd`);
}
