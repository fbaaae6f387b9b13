import { readdirSync, statSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import type { Device, DeviceRule } from '../spec/runtime-config.ts';

/** Device nodes for the container and the cgroup rules that let it use them. */
export interface DeviceSet {
  readonly nodes: readonly Device[];
  readonly rules: readonly DeviceRule[];
}

const S_IFMT = 0o170000;
const S_IFBLK = 0o060000;
const S_IFCHR = 0o020000;

/** Parses `--device HOST[:CONTAINER[:rwm]]`; a privileged container gets every device of the machine. Errors: invalid; not-found. */
export function requestedDevices(requests: readonly string[], privileged: boolean): DeviceSet {
  const asked = requests.map(parseDevice);
  const all = privileged ? hostDevices() : [];
  const nodes = new Map([...all, ...asked.map(({ node }) => node)].map((node) => [node.path, node]));
  return { nodes: [...nodes.values()], rules: asked.map(({ rule }) => rule) };
}

function parseDevice(text: string): { node: Device; rule: DeviceRule } {
  const [host = '', second, third, ...rest] = text.split(':');
  if (rest.length > 0 || !host.startsWith('/')) {
    throw new TareError('invalid', `Cannot use --device ${text}: expected HOST[:CONTAINER[:rwm]] with absolute paths`);
  }
  const isMode = (value: string | undefined): boolean => value !== undefined && /^[rwm]{1,3}$/.test(value);
  const access = third ?? (isMode(second) ? second : undefined) ?? 'rwm';
  if (!isMode(access))
    throw new TareError('invalid', `Cannot use --device ${text}: permissions are made of r, w and m`);
  const path = second === undefined || (third === undefined && isMode(second)) ? host : second;
  if (!path.startsWith('/'))
    throw new TareError('invalid', `Cannot use --device ${text}: the container path must be absolute`);
  const node = deviceAt(host, path);
  if (node === undefined)
    throw new TareError('not-found', `Cannot use --device ${text}: ${host} is not a device on this machine`);
  return {
    node,
    rule: { allow: true, type: node.type === 'b' ? 'b' : 'c', major: node.major ?? 0, minor: node.minor ?? 0, access },
  };
}

function deviceAt(host: string, path: string): Device | undefined {
  let stat;
  try {
    stat = statSync(host);
  } catch {
    return undefined;
  }
  const kind = stat.mode & S_IFMT;
  if (kind !== S_IFBLK && kind !== S_IFCHR) return undefined;
  // glibc's encoding of dev_t, which Node passes on.
  const dev = BigInt(stat.rdev);
  const major = Number(((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn));
  const minor = Number((dev & 0xffn) | ((dev >> 12n) & ~0xffn));
  return {
    path,
    type: kind === S_IFBLK ? 'b' : 'c',
    major,
    minor,
    fileMode: stat.mode & 0o777,
    uid: stat.uid,
    gid: stat.gid,
  };
}

/** Nodes the container has anyway, or that belong to its own mounts. */
const OWN = new Set([
  '/dev/console',
  '/dev/ptmx',
  '/dev/null',
  '/dev/zero',
  '/dev/full',
  '/dev/random',
  '/dev/urandom',
  '/dev/tty',
]);
const OWN_DIRS = new Set(['pts', 'shm', 'mqueue', 'fd']);

function hostDevices(dir = '/dev'): Device[] {
  const found: Device[] = [];
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = `${dir}/${entry.name}`;
    if (entry.isDirectory()) {
      if (!(dir === '/dev' && OWN_DIRS.has(entry.name))) found.push(...hostDevices(path));
    } else if ((entry.isBlockDevice() || entry.isCharacterDevice()) && !OWN.has(path)) {
      const device = deviceAt(path, path);
      if (device !== undefined) found.push(device);
    }
  }
  return found;
}
