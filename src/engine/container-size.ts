import { readdirSync } from 'node:fs';
import { isKind } from '../base/errors.ts';
import { S_IFDIR, S_IFMT, S_IFREG } from '../sys/at.ts';
import type { Fd } from '../sys/fd.ts';
import {
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  openat2,
  openDirectory,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
} from '../sys/open.ts';
import { AT_SYMLINK_NOFOLLOW, type Stat, statx } from '../sys/stat.ts';
import { writableLayers } from './diff.ts';
import type { Engine } from './engine.ts';
import { readRecord } from './record.ts';

/** How much a container has written, and how much it is with its image. */
export interface ContainerSize {
  readonly writableBytes: number;
  readonly totalBytes: number;
}

const MAX_DEPTH = 1024;

/**
 * Sizes of a container by the lengths of its files, as docker and podman count. One that writes into a directory of its user has written nothing of its own.
 * Takes no lock: what changes meanwhile is counted or not. Errors: not-found.
 */
export async function containerSize(engine: Engine, id: string): Promise<ContainerSize> {
  const record = readRecord(engine, id);
  const writableBytes = await writtenBytes(engine, id);
  if (record.source.kind !== 'image') return { writableBytes, totalBytes: writableBytes };
  const store = await engine.store();
  const image = store.image(record.source.imageId);
  const layers = image === undefined ? [] : store.imageLayers(image);
  return { writableBytes, totalBytes: layers.reduce((sum, layer) => sum + (layer.sizeBytes ?? 0), writableBytes) };
}

async function writtenBytes(engine: Engine, id: string): Promise<number> {
  try {
    let bytes = 0;
    for (const { upper } of await writableLayers(engine, readRecord(engine, id))) {
      using dir = openDirectory(upper);
      bytes += bytesBelow(dir, new Set(), 0);
    }
    return bytes;
  } catch (error) {
    if (isKind(error, 'unsupported') || isGone(error)) return 0;
    throw error;
  }
}

/** The lengths of files of a directory whose names somebody may be changing; hard links count once. */
export function bytesBelow(dir: Fd, seen: Set<string>, depth: number): number {
  let bytes = 0;
  if (depth > MAX_DEPTH) return bytes;
  for (const name of readdirSync(`/proc/self/fd/${dir.number}`)) {
    try {
      const stat = statx(dir, name, AT_SYMLINK_NOFOLLOW);
      const type = stat.mode & S_IFMT;
      if (type === S_IFREG && isFirst(stat, seen)) bytes += stat.sizeBytes;
      if (type !== S_IFDIR || stat.isMountRoot) continue;
      using child = openat2(dir, name, {
        flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
        resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
      });
      bytes += bytesBelow(child, seen, depth + 1);
    } catch (error) {
      // It was there a moment ago.
      if (!isGone(error)) throw error;
    }
  }
  return bytes;
}

function isFirst(stat: Stat, seen: Set<string>): boolean {
  if (stat.links < 2) return true;
  const key = `${stat.deviceMajor}:${stat.deviceMinor}:${stat.inode}`;
  if (seen.has(key)) return false;
  seen.add(key);
  return true;
}

function isGone(error: unknown): boolean {
  if (isKind(error, 'not-found')) return true;
  return /^(ENOENT|ENOTDIR|ELOOP)$/.test(String((error as { readonly code?: unknown; readonly errno?: unknown }).code));
}
