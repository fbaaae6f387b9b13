import { TareError } from '../base/errors.ts';
import { bytesOf, utf8Of } from '../archive/byte-string.ts';
import type { Stat } from '../sys/stat.ts';
import { openDirectory } from '../sys/open.ts';
import { S_IFDIR, S_IFMT } from '../sys/at.ts';
import type { IdChange } from '../archive/mod.ts';
import { insideIds } from './container-ids.ts';
import type { Engine } from './engine.ts';
import { isWhiteout, LayerDir, LowerDirs } from './lower-dirs.ts';
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
  /** Written by fuse-overlayfs. */
  readonly fuse?: boolean;
}

interface Comparison {
  readonly prefix: string;
  /** Files may have been copied for their owners: such paths go to `copies`. */
  readonly owners: IdChange | undefined;
  readonly copies: Set<string>;
  readonly changes: Change[];
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
  for (const { path, upper, lowers, fuse = false } of layers) {
    using top = openDirectory(upper);
    using stack = new DisposableStack();
    const below = lowers.map((lower) => new LayerDir(stack.use(openDirectory(lower)), fuse));
    const prefix = path === '/' ? '' : bytesOf(path);
    walk(new LayerDir(top, fuse), '', { prefix, owners, copies, changes }, new LowerDirs(below), 0);
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
      return [{ path: '/', upper: mount.upper, lowers: mount.lowers, fuse: mount.fuse === true }];
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
function walk(dir: LayerDir, relative: string, how: Comparison, lowers: LowerDirs, depth: number): void {
  const { prefix, owners, copies, changes } = how;
  if (depth > MAX_DEPTH) return;
  const pathOf = (name: string): string => `${prefix}/${relative === '' ? name : `${relative}/${name}`}`;
  // fuse-overlayfs notes removals also of what no layer has.
  for (const name of dir.removed())
    if (!dir.names.has(name) && lowers.stat(name) !== undefined) changes.push({ kind: 'D', path: pathOf(name) });
  for (const name of dir.entries()) {
    const path = pathOf(name);
    const stat = dir.stat(name);
    // A container that runs removes things meanwhile.
    if (stat === undefined) continue;
    const lower = lowers.stat(name);
    if (isWhiteout(stat)) {
      if (lower !== undefined) changes.push({ kind: 'D', path });
      continue;
    }
    changes.push({ kind: lower === undefined ? 'A' : 'C', path });
    if (owners !== undefined && lower !== undefined && isCopy(stat, lower, owners)) copies.add(path);
    if ((stat.mode & S_IFMT) !== S_IFDIR) continue;
    const child = dir.open(name);
    if (child === undefined) continue;
    using _closed = child.fd;
    using below = lowers.open(name);
    // An opaque directory hides everything below it: what was there and is not here now counts as deleted.
    const opaque = child.isOpaque();
    if (opaque) {
      const now = new Set(child.entries());
      for (const gone of below.names()) if (!now.has(gone)) changes.push({ kind: 'D', path: `${path}/${gone}` });
    }
    walk(child, relative === '' ? name : `${relative}/${name}`, how, opaque ? LowerDirs.none : below, depth + 1);
  }
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
