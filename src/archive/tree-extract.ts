import { TareError } from '../base/errors.ts';
import {
  mkdirat,
  mknodat,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  symlinkat,
  unlinkat,
} from '../sys/at.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openat2 } from '../sys/open.ts';
import { removeTreeSync } from '../sys/remove-tree.ts';
import { checkPlace, ExtractedFile, type FileIdentity, identityOf } from './_extracted-file.ts';
import { applyMeta, applyMetaOfNew, changedOwner, type Owner, openNew, setTimes } from './_extract-meta.ts';
import { coveredByMount, extractError, inTheWay, noTarget } from './_extract-error.ts';
import { ExtractDirs, type ExtractPlace } from './_extract-dirs.ts';
import type { IdChange } from './_tree-entry.ts';
import { type ByteString, baseName, cleanPath, dirName, utf8Of } from './byte-string.ts';
import { type TarEntry, TarReader, type TarSink } from './tar-reader.ts';

export type { ExtractPlace } from './_extract-dirs.ts';
export type { Owner } from './_extract-meta.ts';

export interface ExtractOptions {
  /** Who owns what is written; absent: whom the archive names. Then directories that are there keep their owner and mode, and set-id bits are dropped. */
  readonly owner?: Owner;
  /** What becomes of owners, those or that one. Errors of it pass through. */
  readonly ids?: IdChange;
  /** False: device nodes are left out. */
  readonly devices?: boolean;
  /** `user`: attributes `user.*` only, no capabilities. */
  readonly xattrs?: 'all' | 'user';
  /** A file may take the place of a directory, and a directory that of a file. */
  readonly overwrite?: boolean;
  /** The place itself gets owner, mode and times where the archive has an entry for its root (`./`). */
  readonly root?: true;
  /** False: files are written as on a file system without O_TMPFILE, under a name that they lose. */
  readonly nameless?: false;
}

const MAX_TRIES = 64;

/**
 * Writes the files of an archive into a directory that others use and change meanwhile: the file system of a running container, or a user's own directory.
 *
 * Every name is resolved beneath `place` by openat2, and every change made through the descriptor of what was found or made: neither a link in the archive nor one that somebody
 * swaps in leads anywhere else. What is there is replaced, never written through: a file appears with all its contents, owner and mode. Directories are merged. A hard link leads
 * to an earlier file of the archive and nothing else.
 *
 * Calls are synchronous. A kill leaves the files that were complete.
 */
export class TreeExtractor implements Disposable {
  readonly #dirs: ExtractDirs;
  readonly #options: ExtractOptions;
  readonly #covers: ExtractPlace['covers'];
  readonly #reader: TarReader;
  /** Files of this archive by path: what a hard link may lead to. */
  readonly #files = new Map<ByteString, FileIdentity>();
  readonly #dirTimes: { readonly path: ByteString; readonly seconds: number; readonly nanoseconds: number }[] = [];
  readonly #skipped: ByteString[] = [];
  #root: TarEntry | undefined;
  #file: ExtractedFile | undefined;

  constructor(place: ExtractPlace, options: ExtractOptions = {}) {
    this.#options = options;
    this.#covers = place.covers;
    // Directories that nothing describes are root's, which may be somebody else there.
    const owner = options.owner ?? (options.ids === undefined ? undefined : { uid: 0, gid: 0 });
    this.#dirs = new ExtractDirs(place, owner && changedOwner(owner, options.ids));
    this.#reader = new TarReader(this.#sink());
  }

  /** Paths of devices that were left out. */
  get skipped(): readonly string[] {
    return this.#skipped.map(utf8Of);
  }

  /** The next bytes of the tar. Errors: of TarReader; `failed-precondition` where a directory and a file meet; by errno, naming the entry. */
  write(bytes: Uint8Array): void {
    this.#reader.write(bytes);
  }

  /** No more bytes. Errors: `invalid` when the tar was cut short. */
  finish(): void {
    this.#reader.end();
    if (this.#root !== undefined && this.#options.root === true) {
      using root = openat2(this.#dirs.open(''), '.', { flags: O_RDONLY | O_DIRECTORY });
      applyMeta(root, this.#root, this.#options);
    }
    for (const { path, seconds, nanoseconds } of this.#dirTimes.reverse()) {
      try {
        using dir = this.#openDir(this.#dirs.open(dirName(path)), path);
        setTimes(dir, seconds, nanoseconds);
      } catch (error) {
        // Somebody else moved or removed it.
        if (!isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV')) throw error;
      }
    }
  }

  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
    this.#dirs[Symbol.dispose]();
  }

  #sink(): TarSink {
    return {
      entry: (entry) => this.#entry(entry),
      data: (bytes, start, end) => this.#about(() => this.#file?.write(bytes, start, end)),
      hole: (sizeBytes) => this.#file?.hole(sizeBytes),
      endEntry: () => {
        const file = this.#file;
        if (file === undefined) return;
        this.#about(() => this.#placeFile(file));
        file[Symbol.dispose]();
        this.#file = undefined;
      },
    };
  }

  /** Failures in words that name the entry. */
  #about<T>(act: () => T, path = this.#file?.path ?? ''): T {
    try {
      return act();
    } catch (error) {
      throw extractError(error, path);
    }
  }

  #entry(entry: TarEntry): void {
    const path = cleanPath(entry.path);
    if (path === '') {
      if (entry.kind !== 'dir')
        throw new TareError('invalid', `Cannot write files: the root of the archive is a ${entry.kind}`);
      this.#root = { ...entry };
      return;
    }
    if (this.#covers?.(path) === true) {
      if (entry.kind === 'dir') return;
      throw coveredByMount(path);
    }
    this.#about(() => this.#add(entry, path), path);
  }

  #add(entry: TarEntry, path: ByteString): void {
    const parent = this.#dirs.open(dirName(path));
    const name = Buffer.from(baseName(path), 'latin1');
    switch (entry.kind) {
      case 'dir':
        return this.#makeDir(entry, parent, name, path);
      case 'file':
        this.#file = ExtractedFile.create(parent, path, entry, this.#options.nameless !== false);
        return;
      case 'link':
        return this.#link(entry, parent, name, path);
      case 'symlink':
        return this.#make(entry, parent, name, path, S_IFLNK);
      case 'char':
      case 'block':
        if (this.#options.devices === false) {
          this.#skipped.push(path);
          return;
        }
        return this.#make(entry, parent, name, path, entry.kind === 'char' ? S_IFCHR : S_IFBLK);
      case 'fifo':
        return this.#make(entry, parent, name, path, S_IFIFO);
    }
  }

  #makeDir(entry: TarEntry, parent: Fd, name: Buffer, path: ByteString): void {
    let isNew = false;
    for (let tries = 0; ; tries++) {
      try {
        mkdirat(parent, name, 0o700);
        isNew = true;
      } catch (error) {
        if (!isErrno(error, 'EEXIST') || tries === MAX_TRIES) throw error;
      }
      try {
        using dir = this.#openDir(parent, path);
        // What is there stays as it is, unless the archive is to be believed in all.
        if (isNew || this.#options.owner === undefined) {
          applyMeta(dir, entry, this.#options);
          this.#dirTimes.push({ path, seconds: entry.mtimeSeconds, nanoseconds: entry.mtimeNanoseconds });
        }
        return;
      } catch (error) {
        if (!isErrno(error, 'ENOTDIR', 'ELOOP', 'ENOENT') || tries === MAX_TRIES) throw error;
        if (isErrno(error, 'ENOENT')) continue;
        this.#mayReplace(path, 'a file', 'directory');
        this.#dirs.forget();
        checkPlace(parent, name);
        removeFile(parent, name);
      }
    }
  }

  #openDir(parent: Fd, path: ByteString): Fd {
    return openat2(parent, Buffer.from(baseName(path), 'latin1'), { flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW });
  }

  #placeFile(file: ExtractedFile): void {
    const parent = this.#dirs.open(dirName(file.path));
    const name = Buffer.from(baseName(file.path), 'latin1');
    file.finish(this.#options);
    this.#replacing(parent, name, file.path, () => file.place(parent, name));
    this.#files.set(file.path, file.identity());
  }

  #link(entry: TarEntry, parent: Fd, name: Buffer, path: ByteString): void {
    const target = cleanPath(entry.linkPath);
    const known = this.#files.get(target);
    if (known === undefined) throw noTarget(path, target);
    if (target === path) return;
    using old = ExtractedFile.reopen(this.#dirs.open(dirName(target)), target, known);
    this.#replacing(parent, name, path, () => old.place(parent, name));
    this.#files.set(path, known);
  }

  /** A link or node. */
  #make(entry: TarEntry, parent: Fd, name: Buffer, path: ByteString, type: number): void {
    this.#replacing(parent, name, path, () =>
      type === S_IFLNK
        ? symlinkat(Buffer.from(entry.linkPath, 'latin1'), parent, name)
        : mknodat(parent, name, type | 0o600, entry),
    );
    using made = openNew(parent, name, type);
    applyMetaOfNew(made, entry, this.#options, type);
    this.#files.set(path, identityOf(made));
  }

  /** Makes something where something else may be, whose place it takes. */
  #replacing(parent: Fd, name: Buffer, path: ByteString, make: () => void): void {
    for (let tries = 0; ; tries++) {
      try {
        return make();
      } catch (error) {
        if (!isErrno(error, 'EEXIST', 'EISDIR', 'ENOTEMPTY') || tries === MAX_TRIES) throw error;
      }
      this.#dirs.forget();
      const there = checkPlace(parent, name);
      if (there !== undefined && (there.mode & S_IFMT) === S_IFDIR) {
        this.#mayReplace(path, 'a directory', 'file');
        removeTreeSync(Buffer.concat([Buffer.from(`/proc/self/fd/${parent.number}/`), name]));
      } else removeFile(parent, name);
    }
  }

  #mayReplace(path: ByteString, there: string, wanted: string): void {
    if (this.#options.overwrite !== true) throw inTheWay(path, there, wanted);
  }
}

/** Somebody else may have been faster. */
function removeFile(parent: Fd, name: Buffer): void {
  try {
    unlinkat(parent, name);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EISDIR')) throw error;
  }
}
