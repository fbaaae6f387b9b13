import type { Device } from '../../spec/runtime-types.ts';
import { planConstants } from '../../sys/plan/schema.ts';
import { containerPath, isWithin } from './container-path.ts';
import { type Draft, invalid } from './draft.ts';

const S_IFMT = { p: 0o010000, c: 0o020000, u: 0o020000, b: 0o060000 } as const;
const S_IFREG = 0o100000;
const MS_PRIVATE = 0x40000;

/** Nodes every container has (config-linux "Default Devices"); console and ptmx are made apart. */
const defaults: readonly Device[] = [
  ['null', 1, 3],
  ['zero', 1, 5],
  ['full', 1, 7],
  ['random', 1, 8],
  ['urandom', 1, 9],
  ['tty', 5, 0],
].map(([name, major, minor]) => ({
  path: `/dev/${name}`,
  type: 'c',
  major: Number(major),
  minor: Number(minor),
  fileMode: 0o666,
}));

/** Links every container has (runtime-linux "Dev symbolic links"). */
const links = [
  ['/dev/fd', '/proc/self/fd'],
  ['/dev/stdin', '/proc/self/fd/0'],
  ['/dev/stdout', '/proc/self/fd/1'],
  ['/dev/stderr', '/proc/self/fd/2'],
  ['/dev/core', '/proc/kcore'],
] as const;

export interface DeviceSetup {
  /** False: bind the host's nodes. */
  readonly mknod: boolean;
  /** A devpts is mounted on /dev/pts. */
  readonly devpts: boolean;
  /** Destinations of mounts: what is mounted there already stays. */
  readonly taken: ReadonlySet<string>;
}

/** Device nodes and links in /dev. Errors: `invalid` for a device outside the root's own directories (relative, on or below /proc or /sys). */
export function compileDevices(draft: Draft, devices: readonly Device[], setup: DeviceSetup): void {
  const byPath = new Map<string, Device>();
  for (const device of [...defaults, ...devices]) {
    const path = containerPath(device.path, 'device');
    if (path === '/' || isWithin(path, '/proc') || isWithin(path, '/sys'))
      throw invalid(`device ${path}`, 'no node can be made there');
    byPath.set(path, device);
  }
  for (const [target, device] of byPath) {
    if (setup.taken.has(target)) continue;
    if (setup.mknod || device.type === 'p') makeNode(draft, target, device);
    else bindNode(draft, target, device);
  }
  for (const [target, to] of setup.devpts ? [...links, ['/dev/ptmx', 'pts/ptmx'] as const] : links) {
    if (!setup.taken.has(target)) draft.add({ op: 'symlink', target, to });
  }
}

/** An empty regular file, to mount something on. */
export function compileFilePoint(draft: Draft, target: string): void {
  draft.add({ op: 'mknod', target, mode: S_IFREG | 0o600, major: 0, minor: 0, uid: 0, gid: 0 });
}

function makeNode(draft: Draft, target: string, device: Device): void {
  const mode = S_IFMT[device.type] | ((device.fileMode ?? 0o666) & 0o7777);
  draft.add({
    op: 'mknod',
    target,
    mode,
    major: device.major ?? 0,
    minor: device.minor ?? 0,
    uid: device.uid ?? 0,
    gid: device.gid ?? 0,
  });
}

function bindNode(draft: Draft, target: string, device: Device): void {
  draft.add({
    op: 'mountFd',
    fd: draft.fd({ kind: 'tree', source: device.path, recursive: false }),
    target,
    set: 0,
    clear: 0,
    recursive: 0,
    propagation: MS_PRIVATE,
    kind: planConstants.KIND_FILE,
    flags: 0,
  });
}
