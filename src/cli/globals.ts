import type { EngineOptions } from '../engine/engine.ts';
import { resolve } from 'node:path';
import type { Host } from './context.ts';
import type { FlagTable, FlagValues } from './flag-table.ts';

/** The flags before the verb. */
export const globalFlags = {
  root: {
    type: 'text',
    value: 'DIR',
    standard: '/var/lib/tare',
    help: 'Containers and their writable layers (TARE_ROOT)',
  },
  runroot: { type: 'text', value: 'DIR', standard: '/run/tare', help: 'Sockets and mount points (TARE_RUNROOT)' },
  'storage-root': {
    type: 'text',
    value: 'DIR',
    standard: '/var/lib/containers/storage',
    help: 'Image store, shared with podman (TARE_STORAGE_ROOT)',
  },
  'storage-runroot': {
    type: 'text',
    value: 'DIR',
    standard: '/run/containers/storage',
    help: 'Run-time state of the image store (TARE_STORAGE_RUNROOT)',
  },
  'cgroup-parent': { type: 'text', value: 'PATH', standard: '/tare', help: "Parent of the containers' cgroups" },
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

/** Where the engine keeps what: flag, else environment, else the system's place. The monitor gets the same as command line, for `cleanup`. */
export function engineOptions(flags: GlobalValues, host: Host): EngineOptions {
  const place = (flag: 'root' | 'runroot' | 'storage-root' | 'storage-runroot', variable: string): string => {
    const given = flags[flag] ?? host.env[variable];
    return resolve(host.cwd, given === undefined || given === '' ? globalFlags[flag].standard : given);
  };
  const root = place('root', 'TARE_ROOT');
  const runRoot = place('runroot', 'TARE_RUNROOT');
  const storageRoot = place('storage-root', 'TARE_STORAGE_ROOT');
  const storageRunRoot = place('storage-runroot', 'TARE_STORAGE_RUNROOT');
  const cgroupParent = flags['cgroup-parent'];
  const self = [
    host.launcher,
    `--root=${root}`,
    `--runroot=${runRoot}`,
    `--storage-root=${storageRoot}`,
    `--storage-runroot=${storageRunRoot}`,
  ];
  if (cgroupParent !== undefined) self.push(`--cgroup-parent=${cgroupParent}`);
  return {
    root,
    runRoot,
    storageRoot,
    storageRunRoot,
    self,
    registryAccess: { env: host.env, uid: process.getuid?.() ?? 0 },
    ...(cgroupParent === undefined ? {} : { cgroupParent }),
  };
}
