import { existsSync, mkdirSync, openSync, readdirSync, renameSync, statSync, fstatSync, unlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ifPresent } from '../base/if-present.ts';
import { Fd } from '../sys/fd.ts';
import { tryLock } from '../sys/lock.ts';
import { removeTree } from '../sys/remove-tree.ts';
import { codeOf } from './_file.ts';
import { randomBytes } from '../sys/random-bytes.ts';

/**
 * Where temporary directories are made: as near to their contents as rename(2) needs. Podman mounts `overlay` onto itself, so nothing can be renamed between it and
 * the folders of the records.
 */
export interface TempRoots {
  /** `overlay/tempdirs` */
  readonly tempDirs: string;
  /** `overlay-layers/tmp` */
  readonly metaTempDirs: string;
}

/**
 * A private directory for what is not yet, or no longer, part of the store, in the form of containers/storage ≥ 1.62: `lock-X` is held while
 * `temp-dir-X` is in use. Who finds the lock free deletes both, so a kill -9 leaves nothing for long.
 */
export class TempDir implements AsyncDisposable {
  readonly path: string;
  readonly #root: TempRoots;
  readonly #lockPath: string;
  readonly #lock: Fd;
  #count = 0;
  #meta: TempDir | undefined;

  private constructor(root: TempRoots, path: string, lockPath: string, lock: Fd) {
    this.#root = root;
    this.path = path;
    this.#lockPath = lockPath;
    this.#lock = lock;
  }

  /** Makes one in `roots.tempDirs`, which is made when missing. */
  static create(roots: TempRoots): TempDir {
    const root = roots.tempDirs;
    for (;;) {
      const id = String(randomBytes(6).readUIntLE(0, 6));
      const lockPath = join(root, `lock-${id}`);
      let lock: Fd;
      try {
        lock = Fd.adopt(openSync(lockPath, 'wx+', 0o644));
      } catch (error) {
        if (codeOf(error) === 'EEXIST') continue;
        if (codeOf(error) !== 'ENOENT') throw error;
        mkdirSync(root, { recursive: true, mode: 0o700 });
        continue;
      }
      // Between making and locking it, a cleaner may have taken it for a dead one's.
      if (tryLock(lock, 'write') && isSame(lock, lockPath)) {
        const path = join(root, `temp-dir-${id}`);
        mkdirSync(path, { mode: 0o700 });
        return new TempDir(roots, path, lockPath, lock);
      }
      lock.close();
    }
  }

  /** Moves a file or directory of the store in here, by one rename; nothing happens when it is not there. */
  take(path: string): void {
    ifPresent(() => renameSync(path, join(this.path, `${this.#count++}-${basename(path)}`)));
  }

  /** The same for what belongs to records, not to trees: made at the first call. */
  meta(): TempDir {
    this.#meta ??= TempDir.create({ tempDirs: this.#root.metaTempDirs, metaTempDirs: this.#root.metaTempDirs });
    return this.#meta;
  }

  /** As `take`, into `meta`. */
  takeMeta(path: string): void {
    if (existsSync(path)) this.meta().take(path);
  }

  /** Deletes it with all it holds. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#meta?.[Symbol.asyncDispose]();
    try {
      await removeTree(this.path);
      ifPresent(() => unlinkSync(this.#lockPath));
    } finally {
      this.#lock.close();
    }
  }
}

function isSame(fd: Fd, path: string): boolean {
  const now = ifPresent(() => statSync(path));
  return now !== undefined && now.ino === fstatSync(fd.number).ino;
}

/**
 * Deletes the temporary directories in `root` whose owners are dead. `onStale` is called for each before that, with the directory still there.
 * Resolves to their number.
 */
export async function recoverTempDirs(root: string, onStale?: (path: string) => Promise<void>): Promise<number> {
  const ids = new Set<string>();
  for (const name of ifPresent(() => readdirSync(root)) ?? []) {
    const match = /^(?:temp-dir|lock)-(\w+)$/.exec(name);
    if (match?.[1] !== undefined) ids.add(match[1]);
  }
  let count = 0;
  for (const id of ids) {
    const lockPath = join(root, `lock-${id}`);
    const path = join(root, `temp-dir-${id}`);
    using lock = Fd.adopt(openSync(lockPath, 'a+', 0o644));
    if (!tryLock(lock, 'write')) continue;
    if (existsSync(path)) {
      await onStale?.(path);
      await removeTree(path);
    }
    ifPresent(() => unlinkSync(lockPath));
    count++;
  }
  return count;
}
