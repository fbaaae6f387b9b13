import { readdirSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { getXattr } from '../sys/xattr.ts';
import type { Fd } from '../sys/fd.ts';
import { AT_SYMLINK_NOFOLLOW, statx } from '../sys/stat.ts';
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
import type { Engine } from './engine.ts';
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
  const id = resolveContainer(engine, nameOrId);
  const changes: Change[] = [];
  const opaqueMark = engine.rootless === undefined ? 'trusted.overlay.opaque' : 'user.overlay.opaque';
  for (const layer of await writableLayers(engine, readRecord(engine, id))) {
    using upper = openDirectory(layer.upper);
    using stack = new DisposableStack();
    const lowers = layer.lowers.map((lower) => stack.use(openDirectory(lower)));
    walk(upper, '', { prefix: layer.path === '/' ? '' : layer.path, opaqueMark }, lowers, changes, 0);
  }
  return withoutMountPoints(changes, readConfig(engine, id).mounts?.map(({ destination }) => destination) ?? []).sort(
    (a, b) => (a.path < b.path ? -1 : 1),
  );
}

/** Leaves out what the container's mounts made to stand on, with the directories that changed only for them. */
function withoutMountPoints(changes: readonly Change[], destinations: readonly string[]): Change[] {
  const mounted = new Set(destinations);
  const points = changes.filter(({ kind, path }) => kind === 'A' && mounted.has(path)).map(({ path }) => path);
  if (points.length === 0) return [...changes];
  const own = changes.filter(({ path }) => !points.includes(path));
  const isBelow = (path: string, dir: string): boolean => path.startsWith(`${dir}/`);
  return own.filter(
    ({ path }) =>
      !points.some((point) => isBelow(point, path)) ||
      own.some((other) => isBelow(other.path, path) && !points.some((point) => isBelow(point, other.path))),
  );
}

/** Where a container's writes go. Errors: unsupported for one that writes straight into its rootfs directory. */
export async function writableLayers(engine: Engine, record: ContainerRecord): Promise<readonly WritableLayer[]> {
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
    `Cannot list changes of ${record.name}: it has no writable layer of its own, it writes into its root directory`,
  );
}

/** Compares one directory of the upper layer; `relative` is its path below the layer without a leading slash. */
function walk(
  dir: Fd,
  relative: string,
  how: { readonly prefix: string; readonly opaqueMark: string },
  lowers: readonly Fd[],
  changes: Change[],
  depth: number,
): void {
  const { prefix, opaqueMark } = how;
  if (depth > MAX_DEPTH) return;
  for (const name of readdirSync(`/proc/self/fd/${dir.number}`)) {
    const below = relative === '' ? name : `${relative}/${name}`;
    const path = `${prefix}/${below}`;
    const stat = statx(dir, name, AT_SYMLINK_NOFOLLOW);
    const type = stat.mode & S_IFMT;
    if (type === S_IFCHR && stat.rdevMajor === 0 && stat.rdevMinor === 0) {
      changes.push({ kind: 'D', path });
      continue;
    }
    const before = typeBelow(lowers, below);
    changes.push({ kind: before === undefined ? 'A' : 'C', path });
    if (type !== S_IFDIR) continue;
    using child = openat2(dir, name, {
      flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
      resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    });
    // An opaque directory hides everything below it: what was there and is not here now counts as deleted.
    const opaque = getXattr(child, opaqueMark)?.toString() === 'y';
    if (opaque && before === S_IFDIR) deletedBelow(child, below, path, lowers, changes);
    walk(child, below, how, opaque ? [] : lowers, changes, depth + 1);
  }
}

function deletedBelow(child: Fd, relative: string, path: string, lowers: readonly Fd[], changes: Change[]): void {
  const now = new Set(readdirSync(`/proc/self/fd/${child.number}`));
  const before = new Set<string>();
  for (const lower of lowers) {
    const fd = openBelow(lower, relative, O_RDONLY | O_DIRECTORY);
    if (fd === undefined) continue;
    using open = fd;
    for (const name of readdirSync(`/proc/self/fd/${open.number}`)) before.add(name);
  }
  for (const name of before) if (!now.has(name)) changes.push({ kind: 'D', path: `${path}/${name}` });
}

/** S_IFMT bits of what the nearest lower layer has at a path; undefined when none has it or it was whited out. */
function typeBelow(lowers: readonly Fd[], relative: string): number | undefined {
  for (const lower of lowers) {
    const fd = openBelow(lower, relative, O_PATH);
    if (fd === undefined) continue;
    using open = fd;
    const stat = statx(open, '', 0x1000);
    const type = stat.mode & S_IFMT;
    return type === S_IFCHR && stat.rdevMajor === 0 && stat.rdevMinor === 0 ? undefined : type;
  }
  return undefined;
}

/** The names come from the container: never resolved outside the layer, never through a symlink. */
function openBelow(lower: Fd, relative: string, flags: number): Fd | undefined {
  try {
    return openat2(lower, relative, { flags: flags | O_NOFOLLOW, resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS });
  } catch {
    return undefined;
  }
}
