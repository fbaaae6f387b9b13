import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { MountCounts } from './mount-counts.ts';
import { OverlayDirs } from './overlay.ts';
import { Table } from './table.ts';
import type { TempDir } from './temp-dir.ts';

/** What the operations of a store share: where things are, and the three tables. Locks are taken in the order layers, images, containers, mounts. */
export interface StoreParts {
  readonly graphRoot: string;
  readonly runRoot: string;
  readonly userXattr: boolean;
  readonly dirs: OverlayDirs;
  readonly layers: Table;
  readonly images: Table;
  readonly containers: Table;
  readonly mounts: MountCounts;
  readonly now: () => Date;
}

export function createParts(graphRoot: string, runRoot: string, userXattr: boolean, now: () => Date): StoreParts {
  const table = (kind: string): Table => new Table(join(graphRoot, `overlay-${kind}`), kind, now);
  return {
    graphRoot,
    runRoot,
    userXattr,
    dirs: new OverlayDirs(graphRoot),
    layers: table('layers'),
    images: table('images'),
    containers: table('containers'),
    mounts: new MountCounts(runRoot, now),
    now,
  };
}

/** `fuse`: see `OverlayDirs.ensureHome`. */
export function ensureLayout(parts: StoreParts, fuse = false): void {
  for (const dir of ['', 'overlay-layers', 'overlay-images', 'overlay-containers']) {
    mkdirSync(join(parts.graphRoot, dir), { recursive: true, mode: 0o700 });
  }
  parts.dirs.ensureHome(fuse);
}

export function tarSplitPath(parts: StoreParts, layerId: string): string {
  return join(parts.graphRoot, 'overlay-layers', `${layerId}.tar-split.gz`);
}

export function imageDir(parts: StoreParts, imageId: string): string {
  return join(parts.graphRoot, 'overlay-images', imageId);
}

/** Moves everything a layer has on disk out of sight. Its record is the caller's affair. */
export function removeLayerFiles(parts: StoreParts, layerId: string, temp: TempDir): void {
  parts.dirs.remove(layerId, temp);
  temp.takeMeta(tarSplitPath(parts, layerId));
  temp.takeMeta(join(parts.graphRoot, 'overlay-layers', layerId));
}
