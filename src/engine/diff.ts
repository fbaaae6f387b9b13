import { readdirSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { bytesOf, utf8Of } from '../archive/byte-string.ts';
import { getXattr } from '../sys/xattr.ts';
import type { Fd } from '../sys/fd.ts';
import { isErrno } from '../sys/error.ts';
import { AT_SYMLINK_NOFOLLOW, type Stat, statx } from '../sys/stat.ts';
import {
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  openDirectory,
  openat2,
} from '../sys/open.ts';
import { S_IFCHR, S_IFDIR, S_IFMT } from '../sys/at.ts';
import type { IdChange } from '../archive/mod.ts';
import { insideIds } from './container-ids.ts';
import type { Engine } from './engine.ts';
import { fileError } from './file-error.ts';
import { resolveContainer } from './names.ts';
import { type ContainerRecord, containerDir, readConfig, readRecord } from './record.ts';
import { hostLayers } from './source-host.ts';

/** One changed path of a container: added, changed, deleted. */
export interface Change {
  readonly kind: 'A' | 'C' | 'D';
  /** Absolute path in the container. */
  readonly path: string;
}

/** A writable layer, where it stands in the container, and what lies below it (nearest first). */
export interface WritableLayer {
  readonly path: string;
  readonly upper: string;
  readonly lowers: readonly string[];
}

const MAX_DEPTH = 1024;

/**
 * What a container changed against what it started from, sorted by path. Works on running and ended containers.
 *
 * Errors: not-found; unsupported for a container that writes straight into its rootfs directory.
 */
export async function diffContainer(engine: Engine, nameOrId: string): Promise<Change[]> {
  const record = readRecord(engine, resolveContainer(engine, nameOrId));
  const { changes } = await containerChanges(engine, record, 'list changes of');
  return changes.map(({ kind, path }) => ({ kind, path: utf8Of(path) })).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * The writable layers of a container, and what changed in them, paths as bytes and in no order; without what stands there only for something to be mounted on. Errors: as
 * `diffContainer`.
 */
export async function containerChanges(
  engine: Engine,
  record: ContainerRecord,
  doing: string,
): Promise<{ readonly layers: readonly WritableLayer[]; readonly changes: readonly Change[] }> {
  const layers = await writableLayers(engine, record, doing);
  const config = readConfig(engine, record.id);
  // Where the files of the image were copied to give them other owners, only that is no change of the container's.
  const owners = isCopied(record) ? insideIds(config) : undefined;
  const copies = new Set<string>();
  const changes: Change[] = [];
  const opaqueMark = engine.rootless === undefined ? 'trusted.overlay.opaque' : 'user.overlay.opaque';
  for (const layer of layers) {
    using upper = openDirectory(layer.upper);
    using stack = new DisposableStack();
    const lowers = layer.lowers.map((lower) => stack.use(openDirectory(lower)));
    const prefix = layer.path === '/' ? '' : bytesOf(layer.path);
    walk(upper, '', { prefix, opaqueMark, owners, copies }, lowers, changes, 0);
  }
  const mounted = config.mounts?.map(({ destination }) => bytesOf(destination)) ?? [];
  return { layers, changes: withoutMountPoints(withoutCopies(changes, copies), mounted) };
}

function isCopied({ userns, source }: ContainerRecord): boolean {
  // Before there was a note of it, only images were copied.
  return userns === undefined ? source.kind === 'image' : userns.owners === 'copied';
}

/** Leaves out what was copied and nothing else, but not the directories above what is left. */
function withoutCopies(changes: readonly Change[], copies: ReadonlySet<string>): readonly Change[] {
  if (copies.size === 0) return changes;
  const above = new Set(changes.flatMap(({ path }) => (copies.has(path) ? [] : parents(path))));
  return changes.filter(({ path }) => !copies.has(path) || above.has(path));
}

/** Leaves out what the container's mounts made to stand on, with the directories that changed only for them. */
function withoutMountPoints(changes: readonly Change[], destinations: readonly string[]): Change[] {
  const mounted = new Set(destinations);
  const points = changes.filter(({ kind, path }) => kind === 'A' && mounted.has(path)).map(({ path }) => path);
  if (points.length === 0) return [...changes];
  const isPoint = new Set(points);
  const own = changes.filter(({ path }) => !isPoint.has(path));
  const above = (paths: readonly string[]): Set<string> => new Set(paths.flatMap(parents));
  const abovePoints = above(points);
  const aboveOthers = above(own.map(({ path }) => path).filter((path) => !abovePoints.has(path)));
  return own.filter(({ path }) => !abovePoints.has(path) || aboveOthers.has(path));
}

/** The directories above a path, the root left out. */
function parents(path: string): string[] {
  const found: string[] = [];
  for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1))
    found.push(path.slice(0, slash));
  return found;
}

/** Where a container's writes go. Errors: unsupported for one that writes straight into its rootfs directory. */
export async function writableLayers(
  engine: Engine,
  record: ContainerRecord,
  doing = 'list changes of',
): Promise<readonly WritableLayer[]> {
  const dir = containerDir(engine, record.id);
  switch (record.source.kind) {
    case 'host':
      return hostLayers(dir);
    case 'image': {
      const mount = (await engine.store()).rootfs(record.id);
      if (mount.kind !== 'overlay' || mount.upper === undefined) break;
      return [{ path: '/', upper: mount.upper, lowers: mount.lowers }];
    }
    case 'rootfs':
      if (record.source.overlay) return hostLayers(dir);
      break;
    case 'bundle':
  }
  throw new TareError(
    'unsupported',
    `Cannot ${doing} ${record.name}: it has no writable layer of its own, it writes into its root directory`,
  );
}

/** Compares one directory of the upper layer; `relative` is its path below the layer without a leading slash. */
function walk(
  dir: Fd,
  relative: string,
  how: {
    readonly prefix: string;
    readonly opaqueMark: string;
    /** Files may have been copied for their owners: such paths go to `copies`. */
    readonly owners: IdChange | undefined;
    readonly copies: Set<string>;
  },
  lowers: readonly Fd[],
  changes: Change[],
  depth: number,
): void {
  const { prefix, opaqueMark, owners, copies } = how;
  if (depth > MAX_DEPTH) return;
  for (const name of namesIn(dir)) {
    const below = relative === '' ? name : `${relative}/${name}`;
    const path = `${prefix}/${below}`;
    const stat = statIn(dir, name);
    // A container that runs removes things meanwhile.
    if (stat === undefined) continue;
    const type = stat.mode & S_IFMT;
    if (type === S_IFCHR && stat.rdevMajor === 0 && stat.rdevMinor === 0) {
      changes.push({ kind: 'D', path });
      continue;
    }
    const lower = statBelow(lowers, below);
    const before = lower && lower.mode & S_IFMT;
    changes.push({ kind: before === undefined ? 'A' : 'C', path });
    if (owners !== undefined && lower !== undefined && isCopy(stat, lower, owners)) copies.add(path);
    if (type !== S_IFDIR) continue;
    const fd = openBelow(dir, name, O_RDONLY | O_DIRECTORY);
    if (fd === undefined) continue;
    using child = fd;
    // An opaque directory hides everything below it: what was there and is not here now counts as deleted.
    const opaque = getXattr(child, opaqueMark)?.toString() === 'y';
    if (opaque && before === S_IFDIR) deletedBelow(child, below, path, lowers, changes);
    walk(child, below, how, opaque ? [] : lowers, changes, depth + 1);
  }
}

function deletedBelow(child: Fd, relative: string, path: string, lowers: readonly Fd[], changes: Change[]): void {
  const now = new Set(namesIn(child));
  const before = new Set<string>();
  for (const lower of lowers) {
    const fd = openBelow(lower, relative, O_RDONLY | O_DIRECTORY);
    if (fd === undefined) continue;
    using open = fd;
    for (const name of namesIn(open)) before.add(name);
  }
  for (const name of before) if (!now.has(name)) changes.push({ kind: 'D', path: `${path}/${name}` });
}

/** Whether only the owner is another one, and that the one it should be inside. */
function isCopy(stat: Stat, lower: Stat, owners: IdChange): boolean {
  const isDir = (stat.mode & S_IFMT) === S_IFDIR;
  return (
    stat.mode === lower.mode &&
    stat.mtimeNs === lower.mtimeNs &&
    (isDir || stat.sizeBytes === lower.sizeBytes) &&
    owners.uid(stat.uid) === lower.uid &&
    owners.gid(stat.gid) === lower.gid
  );
}

/** What the nearest lower layer has at a path; undefined when none has it or it was whited out. */
function statBelow(lowers: readonly Fd[], relative: string): Stat | undefined {
  for (const lower of lowers) {
    const fd = openBelow(lower, relative, O_PATH);
    if (fd === undefined) continue;
    using open = fd;
    const stat = statx(open, '', 0x1000);
    const isWhiteout = (stat.mode & S_IFMT) === S_IFCHR && stat.rdevMajor === 0 && stat.rdevMinor === 0;
    return isWhiteout ? undefined : stat;
  }
  return undefined;
}

/** The names come from the container: never resolved outside the layer, never through a symlink. */
function openBelow(lower: Fd, relative: string, flags: number): Fd | undefined {
  try {
    return openat2(lower, Buffer.from(relative, 'latin1'), {
      flags: flags | O_NOFOLLOW,
      resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    });
  } catch {
    return undefined;
  }
}

/** A directory that was removed meanwhile is empty. */
function namesIn(dir: Fd): string[] {
  try {
    return readdirSync(`/proc/self/fd/${dir.number}`, { encoding: 'latin1' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw fileError(error, 'list changes');
  }
}

function statIn(dir: Fd, name: string): Stat | undefined {
  try {
    return statx(dir, Buffer.from(name, 'latin1'), AT_SYMLINK_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
