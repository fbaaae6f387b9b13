import { readdirSync } from 'node:fs';
import { OPAQUE_FILE, OPAQUE_XATTRS, whiteoutFile } from '../archive/whiteout.ts';
import { S_IFCHR, S_IFDIR, S_IFMT } from '../sys/at.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openat2, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS } from '../sys/open.ts';
import { AT_SYMLINK_NOFOLLOW, type Stat, statx } from '../sys/stat.ts';
import { getXattr } from '../sys/xattr.ts';
import { fileError } from './file-error.ts';

/**
 * One directory of one layer, and how the layer says there what it removes: by marks of overlayfs, or (`fuse`) also by files as fuse-overlayfs writes them. Names are bytes, one char each; they come from
 * the container: nothing is resolved outside the directory, or through a link.
 */
export class LayerDir {
  readonly fd: Fd;
  readonly #fuse: boolean;
  #names: ReadonlySet<string> | undefined;

  constructor(fd: Fd, fuse: boolean) {
    this.fd = fd;
    this.#fuse = fuse;
  }

  /** What the directory has; one that was removed meanwhile is empty. Errors: by errno. */
  get names(): ReadonlySet<string> {
    this.#names ??= new Set(namesIn(this.fd));
    return this.#names;
  }

  /** What is there, without the layer's book-keeping. */
  *entries(): Generator<string, void, void> {
    for (const name of this.names) if (!this.#fuse || whiteoutFile(name) === undefined) yield name;
  }

  /** What files of the layer's book-keeping remove. */
  *removed(): Generator<string, void, void> {
    if (!this.#fuse) return;
    for (const name of this.names) {
      const removed = whiteoutFile(name);
      if (removed !== undefined && removed !== '') yield removed;
    }
  }

  /** Undefined for what is not there, or no more. */
  stat(name: string): Stat | undefined {
    if (!this.names.has(name)) return undefined;
    try {
      return statx(this.fd, Buffer.from(name, 'latin1'), AT_SYMLINK_NOFOLLOW);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  /** It removes what lower layers have of that name. */
  removes(name: string, stat: Stat | undefined): boolean {
    return (stat !== undefined && isWhiteout(stat)) || (this.#fuse && this.names.has(`.wh.${name}`));
  }

  /** It hides all that lower layers have in this directory. */
  isOpaque(): boolean {
    if (this.#fuse && this.names.has(OPAQUE_FILE)) return true;
    return OPAQUE_XATTRS.some((name) => attribute(this.fd, name) === 'y');
  }

  /** Undefined when it is none any more. */
  open(name: string): LayerDir | undefined {
    try {
      const fd = openat2(this.fd, Buffer.from(name, 'latin1'), {
        flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
        resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
      });
      return new LayerDir(fd, this.#fuse);
    } catch {
      return undefined;
    }
  }
}

/** A mark of overlayfs: what lower layers have of that name is gone. */
export function isWhiteout({ mode, rdevMajor, rdevMinor }: Stat): boolean {
  return (mode & S_IFMT) === S_IFCHR && rdevMajor === 0 && rdevMinor === 0;
}

/** One directory as the layers below the topmost one have it together. Disposing closes it. */
export class LowerDirs implements Disposable {
  /** Nearest first. */
  readonly #dirs: readonly LayerDir[];

  constructor(dirs: readonly LayerDir[]) {
    this.#dirs = dirs;
  }

  static readonly none = new LowerDirs([]);

  /** What is there under a name. */
  stat(name: string): Stat | undefined {
    for (const dir of this.#dirs) {
      const stat = dir.stat(name);
      if (dir.removes(name, stat)) return undefined;
      if (stat !== undefined) return stat;
    }
    return undefined;
  }

  /** The directory of that name: of each layer that has it, down to where something hides the rest. */
  open(name: string): LowerDirs {
    const found: LayerDir[] = [];
    for (const dir of this.#dirs) {
      const stat = dir.stat(name);
      if (dir.removes(name, stat)) break;
      if (stat === undefined) continue;
      if ((stat.mode & S_IFMT) !== S_IFDIR) break;
      const child = dir.open(name);
      if (child === undefined) continue;
      found.push(child);
      if (child.isOpaque()) break;
    }
    return new LowerDirs(found);
  }

  /** All names. */
  names(): string[] {
    const all = new Set(this.#dirs.flatMap((dir) => [...dir.entries()]));
    return [...all].filter((name) => this.stat(name) !== undefined);
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#dirs) fd.close();
  }
}

function attribute(fd: Fd, name: string): string | undefined {
  try {
    return getXattr(fd, name)?.toString();
  } catch (error) {
    if (isErrno(error, 'EOPNOTSUPP', 'EPERM')) return undefined;
    throw error;
  }
}

function namesIn(dir: Fd): string[] {
  try {
    return readdirSync(`/proc/self/fd/${dir.number}`, { encoding: 'latin1' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw fileError(error, 'list changes');
  }
}
