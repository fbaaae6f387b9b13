import { TareError } from '../base/errors.ts';
import { type ByteString, baseName, utf8Of } from '../archive/byte-string.ts';
import { readlinkat, S_IFDIR, S_IFLNK, S_IFMT } from '../sys/at.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { O_DIRECTORY, O_NOFOLLOW, O_PATH, openat2, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS } from '../sys/open.ts';
import { fstat, type Stat } from '../sys/stat.ts';

/** Something that stands on a path of a tree instead of what the tree has there. */
export interface TreeMount {
  /** Absolute and clean. */
  readonly path: ByteString;
  /** The file or directory that is there; undefined: nothing that can be used now, `why` says the reason. */
  readonly root: Fd | undefined;
  readonly why?: string;
  readonly readOnly: boolean;
  /** Not even a copy of what is above it has it. */
  readonly isHidden?: boolean;
}

/** Something found in a tree. */
export interface Found extends Disposable {
  /** O_PATH. */
  readonly object: Fd;
  readonly stat: Stat;
  /** The same place for one who writes: a directory nothing leads out of, and the way from there. */
  readonly root: Fd;
  readonly base: ByteString;
  /** Why nothing may be written there. */
  readonly readOnly: string | undefined;
  /** False for a path below it that is hidden. */
  readonly keep?: (path: ByteString) => boolean;
  /** True for a path below it that something mounted covers, or is at. */
  readonly covers?: (path: ByteString) => boolean;
}

const MAX_LINKS = 40;

/** How a path is walked: links that are there count, from the tree's own root, and nothing leads out of it, whoever changes it meanwhile (openat2(2)). */
export const TREE_RESOLVE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/** A file system behind one root descriptor, with what is mounted on it. Paths are bytes; relative ones start at the root. */
export class FileTree implements Disposable {
  readonly root: Fd;
  readonly #mounts: readonly TreeMount[];

  readonly #readOnly: string | undefined;

  /** Owns `root`, and the roots of `mounts`. `readOnly`: why nothing is to be written, but on mounts. */
  constructor(root: Fd, mounts: readonly TreeMount[] = [], readOnly?: string) {
    this.root = root;
    this.#mounts = mounts;
    this.#readOnly = readOnly;
  }

  /** What is at `path`; a link at its end is followed unless `follow` is false. Undefined when there is nothing. Errors: `failed-precondition` for what cannot be used now; by errno. */
  find(path: ByteString, follow = true): Found | undefined {
    try {
      return this.#mounts.length === 0 ? this.#findAtOnce(path, follow) : this.#walk(path, follow);
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined;
      // A directory was asked for, or needed on the way.
      if (isErrno(error, 'ENOTDIR', 'ELOOP', 'EXDEV'))
        throw new TareError(
          'failed-precondition',
          `Cannot use path ${shown(path)}: ${error.code === 'ENOTDIR' ? 'something on its way is no directory' : 'its links lead nowhere'}`,
          { cause: error },
        );
      throw error;
    }
  }

  /**
   * Where a file that is not there, or that is to be replaced, has its place: the directory and the name. Links at the end of the path are followed, also one that leads to nothing.
   * Errors: `not-found` without that directory; `invalid` for a path that can only mean a directory.
   */
  placeOf(path: ByteString): { readonly dir: Found; readonly name: ByteString } {
    let at = path.replace(/\/+$/, '');
    for (let links = 0; links < MAX_LINKS; links++) {
      const name = baseName(at);
      if (name === '' || name === '.' || name === '..')
        throw new TareError('invalid', `Cannot use path ${shown(path)}: it names no file`);
      const above = at.includes('/') ? at.slice(0, at.lastIndexOf('/') + 1) : '/';
      const dir = this.find(`${above}.`);
      if (dir === undefined)
        throw new TareError('not-found', `Cannot use path ${shown(path)}: directory ${shown(above)} does not exist`);
      const link = linkIn(dir.object, name);
      if (link === undefined) return { dir, name };
      dir[Symbol.dispose]();
      at = (link.startsWith('/') ? link : `${above}${link}`).replace(/\/+$/, '');
    }
    throw new TareError('failed-precondition', `Cannot use path ${shown(path)}: its links lead nowhere`);
  }

  #findAtOnce(path: ByteString, follow: boolean): Found {
    const object = openat2(this.root, Buffer.from(path === '' ? '.' : path, 'latin1'), {
      flags: O_PATH | (follow ? 0 : O_NOFOLLOW),
      resolve: TREE_RESOLVE,
    });
    return found(object, this.root, path.replace(/^\/+/, ''), this.#readOnly);
  }

  /** The same component by component, so that mounts are met on the way. */
  #walk(path: ByteString, follow: boolean): Found {
    using stack = new DisposableStack();
    let places: Place[] = [this.#rootPlace()];
    let left = path.split('/');
    const wantsDir = /\/\.?$/.test(path);
    let links = 0;
    for (let part = left.shift(); part !== undefined; part = left.shift()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        if (places.length > 1) places.pop();
        continue;
      }
      const here = places.at(-1) as Place; // never empty
      const full = `${here.path === '/' ? '' : here.path}/${part}`;
      const mount = this.#mounts.findLast((other) => other.path === full);
      if (mount !== undefined) {
        places.push(placeOfMount(mount));
        continue;
      }
      const fd = stack.use(openat2(here.fd, Buffer.from(part, 'latin1'), { flags: O_PATH | O_NOFOLLOW }));
      const isLast = left.every((other) => other === '' || other === '.');
      if ((fstat(fd).mode & S_IFMT) === S_IFLNK && (!isLast || follow || wantsDir)) {
        if (links++ === MAX_LINKS)
          throw new TareError('failed-precondition', `Cannot use path ${shown(path)}: its links lead nowhere`);
        const target = readlinkat(fd, '').toString('latin1');
        if (target.startsWith('/')) places = [this.#rootPlace()];
        left = [...target.split('/'), ...left];
        continue;
      }
      places.push({ ...here, path: full, fd, base: here.base === '' ? part : `${here.base}/${part}`, isFile: false });
    }
    const end = places.at(-1) as Place; // never empty
    if (wantsDir) openat2(end.fd, '.', { flags: O_PATH | O_DIRECTORY }).close();
    const prefix = end.path === '/' ? '' : end.path;
    const deeper = this.#mounts.map((mount) => mount.path).filter((mount) => mount.startsWith(`${prefix}/`));
    const hidden = new Set(this.#mounts.filter(({ isHidden }) => isHidden === true).map((mount) => mount.path));
    return {
      ...found(end.fd.duplicate(), end.root, end.base, end.isFile ? 'it is a mount' : end.readOnly),
      covers: (path) => deeper.some((mount) => `${prefix}/${path}/`.startsWith(`${mount}/`)),
      ...(hidden.size === 0 ? {} : { keep: (below) => !hidden.has(`${prefix}/${below}`) }),
    };
  }

  #rootPlace(): Place {
    return { path: '/', fd: this.root, root: this.root, base: '', readOnly: this.#readOnly, isFile: false };
  }

  [Symbol.dispose](): void {
    this.root.close();
    for (const { root } of this.#mounts) root?.close();
  }
}

interface Place {
  readonly path: ByteString;
  readonly fd: Fd;
  readonly root: Fd;
  readonly base: ByteString;
  readonly readOnly: string | undefined;
  readonly isFile: boolean;
}

function placeOfMount({ path, root, why, readOnly }: TreeMount): Place {
  if (root === undefined)
    throw new TareError('failed-precondition', `Cannot use path ${shown(path)}: ${why ?? 'it cannot be reached'}`);
  const isFile = (fstat(root).mode & S_IFMT) !== S_IFDIR;
  return { path, fd: root, root, base: '', readOnly: readOnly ? 'it is mounted read-only' : undefined, isFile };
}

function found(object: Fd, root: Fd, base: ByteString, readOnly: string | undefined): Found {
  return { object, stat: fstat(object), root, base, readOnly, [Symbol.dispose]: () => object.close() };
}

/** What a link says; undefined for anything else. */
function linkIn(dir: Fd, name: ByteString): ByteString | undefined {
  try {
    using fd = openat2(dir, Buffer.from(name, 'latin1'), { flags: O_PATH | O_NOFOLLOW });
    return (fstat(fd).mode & S_IFMT) === S_IFLNK ? readlinkat(fd, '').toString('latin1') : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** For people. */
export function shown(path: ByteString): string {
  return JSON.stringify(utf8Of(path));
}

/** True of a directory. */
export function isDirectory({ stat }: Pick<Found, 'stat'>): boolean {
  return (stat.mode & S_IFMT) === S_IFDIR;
}

/** The name that a copy of `path` gets: its last component; '' where it names the contents of a directory (`/`, `DIR/.`, `..`). */
export function copyName(path: ByteString): ByteString {
  const name = baseName(path.replace(/\/+$/, ''));
  return name === '.' || name === '..' ? '' : name;
}
