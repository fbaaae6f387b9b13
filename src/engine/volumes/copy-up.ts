import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import type { IdChange } from '../../archive/mod.ts';
import { bytesOf } from '../../archive/byte-string.ts';
import { TareError } from '../../base/errors.ts';
import { fchmod, fchownat, mkdirat, RENAME_NOREPLACE, renameat2, utimensat } from '../../sys/at.ts';
import { isErrno } from '../../sys/error.ts';
import type { Fd } from '../../sys/fd.ts';
import {
  O_DIRECTORY,
  O_RDONLY,
  openat2,
  openDirectory,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from '../../sys/open.ts';
import { removeTreeSync } from '../../sys/remove-tree.ts';
import { fstat, syncfs } from '../../sys/stat.ts';
import { getXattr, listXattrs, setXattr } from '../../sys/xattr.ts';
import type { Engine } from '../engine.ts';
import { fileError } from '../file-error.ts';
import { holdFilling } from './hold-volume.ts';
import { DATA, FRESH, volumePath } from './volume.ts';

/** What is being copied, and what was copied as a whole. */
const COPY = 'copy';
const COPIED = 'copied';

/** Where the contents of a fresh volume come from. */
export interface CopyUpFrom {
  /** A container's root file system. */
  readonly rootfs: Fd;
  /** Where it will be mounted there. Links on the way are the image's own and do not lead out of it. */
  readonly path: string;
  /** Owners on the disk, where the volume will be shown with others. */
  readonly ids?: IdChange;
  /** An unprivileged user cannot make device nodes. */
  readonly devices: boolean;
  /** What is copied is on the disk before it counts. */
  readonly durable: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Fills a volume that the caller holds, once in its life: with what the image of the first container that mounts it has at that place, its owner and mode included. One that has files
 * already, or whose image has no such directory, stays as it is.
 *
 * A kill never leaves half of it in use: files are copied beside the volume's own directory first; once they are complete and on the disk they are moved in, and whoever comes next finishes that.
 *
 * Errors: exhausted, and others by errno; cancelled.
 */
export async function copyUp(engine: Engine, name: string, from: CopyUpFrom): Promise<void> {
  const at = (part: string): string => volumePath(engine, name, part);
  if (!existsSync(at(FRESH))) return;
  using source = findDirectory(from.rootfs, from.path);
  if (source === undefined && !existsSync(at(COPIED))) return;
  try {
    using _alone = await holdFilling(engine, name, from.signal);
    if (!existsSync(at(FRESH))) return;
    using data = openDirectory(at(DATA));
    if (!existsSync(at(COPIED))) {
      removeTreeSync(at(COPY));
      if (source === undefined) return;
      if (readdirSync(at(DATA)).length === 0) {
        await stage(engine, name, source, from);
      }
    }
    if (existsSync(at(COPIED))) moveIn(at(COPIED), data);
    rmSync(at(FRESH), { force: true });
  } catch (error) {
    const doing = `fill volume ${name} with what the image has at ${from.path}`;
    if (!(error instanceof TareError) || error.kind === 'cancelled') throw fileError(error, doing);
    throw new TareError(error.kind, `Cannot ${doing}: ${error.message.replace(/^Cannot /, '')}`, { cause: error });
  }
}

/** It waits to be filled. */
export function isFresh(engine: Engine, name: string): boolean {
  return existsSync(volumePath(engine, name, FRESH));
}

/** Nothing is to be copied into it any more: somebody else puts something there. The caller is alone with it (`holdFilling`). */
export function settleContents(engine: Engine, name: string): void {
  for (const part of [COPY, COPIED]) removeTreeSync(volumePath(engine, name, part));
  rmSync(volumePath(engine, name, FRESH), { force: true });
}

/** A directory of a tree that is not ours, as the tree itself sees it. Undefined for anything else. */
function findDirectory(rootfs: Fd, path: string): Fd | undefined {
  try {
    return openat2(rootfs, path, {
      flags: O_RDONLY | O_DIRECTORY,
      resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV')) return undefined;
    throw error;
  }
}

/** Copies all of it, or nothing. */
async function stage(engine: Engine, name: string, source: Fd, from: CopyUpFrom): Promise<void> {
  try {
    await copyInto(engine, name, source, from);
    renameSync(volumePath(engine, name, COPY), volumePath(engine, name, COPIED));
  } catch (error) {
    // A full disk needs the room.
    removeTreeSync(volumePath(engine, name, COPY));
    throw error;
  }
}

async function copyInto(engine: Engine, name: string, source: Fd, from: CopyUpFrom): Promise<void> {
  const { treeTar, TreeExtractor } = await import('../../archive/mod.ts');
  using volume = openDirectory(volumePath(engine, name));
  mkdirat(volume, COPY, 0o700);
  using copy = openDirectory(COPY, { dir: volume });
  const place = { root: copy, base: bytesOf(''), resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
  using extractor = new TreeExtractor(place, { devices: from.devices });
  const how = {
    mounts: 'none',
    ...(from.ids === undefined ? {} : { ids: from.ids }),
    ...(from.signal === undefined ? {} : { signal: from.signal }),
  } as const;
  for await (const bytes of treeTar(source, bytesOf(''), how)) extractor.write(bytes);
  extractor.finish();
  takeOver(source, copy, from.ids);
  if (from.durable) await syncfs(copy);
}

/** Moves what was copied to where it belongs; where somebody has put a file of that name meanwhile, that stays. Last the directory itself gets its owner and mode. */
function moveIn(copied: string, data: Fd): void {
  using from = openDirectory(copied);
  for (const name of readdirSync(copied, 'buffer')) {
    try {
      renameat2(from, name, data, name, RENAME_NOREPLACE);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
  }
  takeOver(from, data);
  removeTreeSync(copied);
}

/** Owner, mode, attributes and times of a directory. Owner first: it takes set-id bits away. */
function takeOver(from: Fd, to: Fd, ids?: IdChange): void {
  const { uid, gid, mode, atimeNs, mtimeNs } = fstat(from);
  fchownat(to, '', ids?.uid(uid) ?? uid, ids?.gid(gid) ?? gid);
  for (const name of listXattrs(from)) {
    const isForeign = name.startsWith('trusted.') || name.startsWith('user.overlay.') || name === 'security.selinux';
    const value = isForeign ? undefined : getXattr(from, name);
    try {
      if (value !== undefined) setXattr(to, name, value);
    } catch (error) {
      if (!isErrno(error, 'EOPNOTSUPP', 'EPERM')) throw error;
    }
  }
  fchmod(to, mode & 0o7777);
  utimensat(to, '', atimeNs, mtimeNs);
}
