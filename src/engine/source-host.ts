import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Mount } from '../spec/mount.ts';
import type { Mount as OciMount } from '../spec/runtime-config.ts';
import { parseMountinfo, type MountEntry } from '../sys/mountinfo.ts';
import type { Engine } from './engine.ts';
import { hostParts, type HostParts } from './source-host-parts.ts';

/** File systems that hold no files of the machine: the container gets its own, or none. */
const VIRTUAL = new Set(
  'proc sysfs devtmpfs devpts tmpfs ramfs cgroup cgroup2 mqueue debugfs tracefs securityfs pstore bpf configfs fusectl hugetlbfs autofs binfmt_misc efivarfs rpc_pipefs nsfs nfsd selinuxfs'.split(
    ' ',
  ),
);

/** One writable layer of a container that is not made from an image. */
export interface HostLayer {
  /** Where it stands in the container. */
  readonly path: string;
  readonly upper: string;
  readonly work: string;
  /** Directories below it, nearest first. */
  readonly lowers: readonly string[];
  /** fuse-overlayfs writes it: the kernel may not mount it any more. */
  readonly fuse?: boolean;
}

/** The directories of a container in creation. */
export interface ContainerPlaces {
  /** Its records. */
  readonly dir: string;
  /** Its writable layers, `diskDir`. */
  readonly disk: string;
}

/** What an unmapped id looks like (/proc/sys/kernel/overflowuid). */
const OVERFLOW_ID = 65534;

const LAYERS_FILE = 'layers.json';

/** How the machine's file system is laid out for one `host:` container. */
export interface HostRootfs {
  readonly root: Mount;
  /** One overlay per further real mount, in mount order. */
  readonly mounts: readonly OciMount[];
  /** Host paths covered in the container. */
  readonly masked: readonly string[];
  /** Writable layers with the container path each belongs to. */
  readonly layers: readonly HostLayer[];
}

/**
 * Plans `host:PATH`: an overlay of PATH with the writable layer in `places.disk`, and for PATH "/" one more per real mount below it. Tare's own state, the
 * image store and, unless `secrets`, well-known credentials are masked. Creates the layer directories.
 */
export function hostRootfs(
  engine: Engine,
  { dir, disk }: ContainerPlaces,
  path: string,
  secrets: boolean,
  mountinfo: string,
): HostRootfs {
  const layers: HostLayer[] = [];
  const layer = (target: string, lower: string): HostLayer => {
    const made = createLayer(disk, layers.length, target, lower);
    layers.push(made);
    return made;
  };
  const entries = parseMountinfo(mountinfo);
  const below = entries.some(({ mountPoint }) => isBelow(mountPoint, path));
  const lower = engine.rootless !== undefined && below ? join(disk, 'skeleton') : path;
  const parts = lower === path ? undefined : splitHost(path, lower, entries);

  const base = layer('/', lower);
  const root: Mount = {
    kind: 'overlay',
    lowers: [lower],
    upper: base.upper,
    work: base.work,
    options: engine.overlayOptions,
  };
  const mounts: OciMount[] = [];
  for (const source of parts?.overlays ?? realMountsBelow(entries, path).map(({ mountPoint }) => mountPoint)) {
    const target = path === '/' ? source : source.slice(path.length);
    const { upper, work } = layer(target, source);
    mounts.push({
      destination: target,
      type: 'overlay',
      source: 'overlay',
      options: [
        `lowerdir=${source.replaceAll(':', '\\:')}`,
        `upperdir=${upper}`,
        `workdir=${work}`,
        ...engine.overlayOptions,
      ],
    });
  }
  for (const source of parts?.binds ?? []) {
    const destination = path === '/' ? source : source.slice(path.length);
    mounts.push({ destination, type: 'bind', source, options: ['rbind', 'rro', 'rprivate'] });
  }
  writeFileSync(join(dir, LAYERS_FILE), JSON.stringify(layers), { mode: 0o600 });
  return { root, mounts, masked: maskedPaths(engine, path, secrets), layers };
}

/** The mounts in the tree belong to the machine: an unprivileged user's overlay cannot have it as a whole. */
function splitHost(path: string, skeleton: string, entries: readonly MountEntry[]): HostParts {
  mkdirSync(skeleton, { mode: 0o755 });
  const types = new Map(entries.map(({ mountPoint, fsType }) => [mountPoint, fsType]));
  return hostParts(path, skeleton, new Set(types.keys()), (directory) => {
    const type = types.get(directory);
    if (type !== undefined && (VIRTUAL.has(type) || isTransient(type))) return true;
    return /^\/(?:proc|sys|dev|run)$/.test(directory);
  });
}

function isBelow(mountPoint: string, path: string): boolean {
  return mountPoint !== path && mountPoint.startsWith(path === '/' ? '/' : `${path}/`);
}

/** The overlay of `rootfs:DIR:O`: DIR below a writable layer in the container's directory. */
export function overlayRootfs(engine: Engine, { dir, disk }: ContainerPlaces, path: string): Mount {
  const layer = createLayer(disk, 0, '/', path);
  writeFileSync(join(dir, LAYERS_FILE), JSON.stringify([layer]), { mode: 0o600 });
  return {
    kind: 'overlay',
    lowers: layer.lowers,
    upper: layer.upper,
    work: layer.work,
    options: engine.overlayOptions,
  };
}

/** The writable layers of a `host:` or `rootfs:…:O` container, the root first. */
export function hostLayers(dir: string): HostLayer[] {
  return JSON.parse(readFileSync(join(dir, LAYERS_FILE), 'utf8')) as HostLayer[];
}

/** Notes that fuse-overlayfs writes the layers from now on. Whole or not at all. */
export function useFuseLayers(dir: string): void {
  const layers = hostLayers(dir).map((layer) => ({ ...layer, fuse: true }));
  const temp = join(dir, `.${LAYERS_FILE}`);
  writeFileSync(temp, JSON.stringify(layers), { mode: 0o600 });
  renameSync(temp, join(dir, LAYERS_FILE));
}

/** The merged root of an overlay shows the mode and owner of the upper directory: they are taken from the lower one. */
function createLayer(disk: string, index: number, target: string, lower: string): HostLayer {
  const suffix = index === 0 ? '' : `-${index}`;
  const upper = join(disk, `upper${suffix}`);
  const work = join(disk, `work${suffix}`);
  const stat = statSync(lower);
  mkdirSync(upper);
  chmodSync(upper, stat.mode & 0o7777);
  // An owner that the user namespace has no id for: the layer is the user's own then.
  if ((stat.uid !== 0 || stat.gid !== 0) && stat.uid !== OVERFLOW_ID && stat.gid !== OVERFLOW_ID)
    chownSync(upper, stat.uid, stat.gid);
  mkdirSync(work, { mode: 0o700 });
  return { path: target, upper, work, lowers: [lower] };
}

/** Real file systems mounted strictly below `path`, outermost first; the last mount on a point counts. */
function realMountsBelow(entries: readonly MountEntry[], path: string): MountEntry[] {
  const prefix = path === '/' ? '/' : `${path}/`;
  const onTop = new Map<string, MountEntry>();
  for (const entry of entries) onTop.set(entry.mountPoint, entry);
  return [...onTop.values()].filter(
    (entry) =>
      entry.mountPoint.startsWith(prefix) &&
      entry.mountPoint !== path &&
      !VIRTUAL.has(entry.fsType) &&
      !isTransient(entry.fsType) &&
      !/^\/(proc|sys|dev|run)(\/|$)/.test(entry.mountPoint) &&
      isDirectory(entry.mountPoint),
  );
}

/** Overlays below the root are root file systems of other containers, FUSE mounts belong to a user's session: both come and go, and not even root may read some. */
function isTransient(fsType: string): boolean {
  return fsType === 'overlay' || fsType.startsWith('fuse.');
}

/** Files can be mounted on as well, and some directories not even root may look at. */
function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Paths inside the container that must not show the host's files, relative to `path` as the container's root. */
function maskedPaths(engine: Engine, path: string, secrets: boolean): string[] {
  const own = [engine.root, engine.runRoot, engine.storageRoot, engine.storageRunRoot];
  const all = secrets ? own : [...own, ...secretPaths(path, engine.env['HOME'])];
  const masked = new Set<string>();
  for (const entry of all) {
    // Most are not there, and an error costs more than a look.
    if (!existsSync(entry)) continue;
    let real: string;
    try {
      real = realpathSync.native(entry);
    } catch {
      continue;
    }
    if (path === '/') masked.add(real);
    else if (real.startsWith(`${path}/`)) masked.add(real.slice(path.length));
  }
  return [...masked].sort();
}

/** Credentials of the machine and its users, as seen below `path`. */
function secretPaths(path: string, ownHome: string | undefined): string[] {
  const root = path === '/' ? '' : path;
  const fixed = [
    '/etc/shadow',
    '/etc/shadow-',
    '/etc/gshadow',
    '/etc/gshadow-',
    '/etc/krb5.keytab',
    '/run/containers/0/auth.json',
    '/etc/ssl/private',
  ];
  const sshDir = `${root}/etc/ssh`;
  const hostKeys = list(sshDir)
    .filter((name) => /^ssh_host_.*_key$/.test(name))
    .map((name) => `${sshDir}/${name}`);
  const homes = [
    `${root}/root`,
    ...list(`${root}/home`).map((name) => `${root}/home/${name}`),
    ...(ownHome?.startsWith(path) === true && !/^\/(?:home\/[^/]+|root)?$/.test(ownHome) ? [ownHome] : []),
  ];
  const perHome = [
    '.ssh',
    '.docker/config.json',
    '.dockercfg',
    '.config/containers/auth.json',
    '.gnupg',
    '.aws/credentials',
    '.netrc',
    '.git-credentials',
    '.npmrc',
    '.kube/config',
  ];
  const runtimeAuth = list('/run/user').map((uid) => `/run/user/${uid}/containers/auth.json`);
  return [
    ...fixed.map((f) => root + f),
    ...hostKeys,
    ...homes.flatMap((home) => perHome.map((name) => `${home}/${name}`)),
    ...runtimeAuth,
  ];
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
