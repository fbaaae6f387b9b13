import { TareError } from '../base/errors.ts';
import { fchmod, fchownat, mkdirat } from '../sys/at.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { O_DIRECTORY, O_NOFOLLOW, O_PATH, O_RDONLY, openat2 } from '../sys/open.ts';
import type { Owner } from './_extract-meta.ts';
import { baseName, type ByteString, dirName } from './byte-string.ts';

/** Where an archive is written. */
export interface ExtractPlace {
  /** Nothing leads out of this directory. It stays the caller's. */
  readonly root: Fd;
  /** The directory below `root` that the archive's paths start from; '' for itself. */
  readonly base: ByteString;
  /** RESOLVE_* bits for every path: RESOLVE_IN_ROOT where links on the way are the user's own, RESOLVE_BENEATH with RESOLVE_NO_SYMLINKS where there are to be none. */
  readonly resolve: number;
  /** True for a path of the archive where nothing can be written because of a mount that is not there now. */
  readonly covers?: (path: ByteString) => boolean;
}

const MAX_OPEN = 64;
/** Directories that no entry describes: a small archive would use up the inodes of the disk. */
const MAX_UNNAMED = 100_000;
const MAX_TRIES = 16;

/** The directories that entries go to, opened beneath one root, and made where they are missing. */
export class ExtractDirs implements Disposable {
  readonly #place: ExtractPlace;
  readonly #owner: Owner | undefined;
  readonly #open = new Map<ByteString, Fd>();
  #unnamed = 0;

  constructor(place: ExtractPlace, owner: Owner | undefined) {
    this.#place = place;
    this.#owner = owner;
  }

  /** Directory `path` of the archive, as a place for `*at` calls; it stays ours, until 64 others were asked for. Errors: by errno. */
  open(path: ByteString): Fd {
    const known = this.#open.get(path);
    if (known !== undefined) return known;
    const fd = this.#find(path);
    if (this.#open.size >= MAX_OPEN) this.forget();
    this.#open.set(path, fd);
    return fd;
  }

  /** What was found may no longer be where it was. */
  forget(): void {
    // Closed at the next turn of `open` only: the caller may be working in one of them.
    for (const fd of this.#open.values()) this.#old.push(fd);
    this.#open.clear();
    while (this.#old.length > 2 * MAX_OPEN) this.#old.shift()?.close();
  }
  readonly #old: Fd[] = [];

  #find(path: ByteString): Fd {
    for (let tries = 0; ; tries++) {
      try {
        return this.#openat(path);
      } catch (error) {
        if (!isErrno(error, 'ENOENT') || path === '' || tries === MAX_TRIES) throw error;
      }
      this.#make(this.open(dirName(path)), baseName(path));
    }
  }

  #openat(path: ByteString): Fd {
    const { root, base, resolve } = this.#place;
    const full = base === '' || path === '' ? base + path : `${base}/${path}`;
    const name = full === '' ? '.' : Buffer.from(full, 'latin1');
    return openat2(root, name, { flags: O_PATH | O_DIRECTORY, resolve });
  }

  #make(parent: Fd, name: ByteString): void {
    if (this.#unnamed++ === MAX_UNNAMED)
      throw new TareError('exhausted', `Cannot write files: more than ${MAX_UNNAMED} directories are missing`);
    const bytes = Buffer.from(name, 'latin1');
    try {
      mkdirat(parent, bytes, 0o755);
    } catch (error) {
      if (isErrno(error, 'EEXIST')) return;
      throw error;
    }
    using made = openat2(parent, bytes, { flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW });
    if (this.#owner !== undefined) fchownat(made, '', this.#owner.uid, this.#owner.gid);
    fchmod(made, 0o755);
  }

  [Symbol.dispose](): void {
    this.forget();
    for (const fd of this.#old.splice(0)) fd.close();
  }
}
