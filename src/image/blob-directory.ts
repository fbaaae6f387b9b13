import { mkdirSync, openSync, readdirSync, statSync, unlinkSync, write } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isDigest, type Digest } from '../spec/digest.ts';
import { linkat } from '../sys/at.ts';
import { Fd } from '../sys/fd.ts';
import { O_TMPFILE, O_WRONLY, openat2, openDirectory } from '../sys/open.ts';
import { fileRange } from './_file-range.ts';
import type { BlobCache, CachedBlob } from './blob-cache.ts';

/** Takes a blob's bytes as they pass. Nothing of it fails its caller: a blob that cannot be kept is not kept. */
export interface BlobKeeper extends Disposable {
  /** Resolves when the next bytes may come; these must not change until then. */
  write(bytes: Uint8Array): Promise<void>;
  /** The bytes were the right ones: from now on `find` has them. */
  commit(): void;
}

/**
 * Layers' compressed blobs as they were pulled, each a file named by its digest: what makes a push of a pulled image the same bytes (docs/decisions/0009-kept-blobs.md).
 * A cache: any file may be deleted at any time. A file has no name until it is complete, so a kill leaves nothing.
 */
export class BlobDirectory implements BlobCache {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Nothing of a machine's crash is kept off the files. Errors of reading one: `invalid` when it is cut short. */
  find(digest: Digest): CachedBlob | undefined {
    const path = this.#path(digest);
    const sizeBytes = statSync(path, { throwIfNoEntry: false })?.size;
    if (sizeBytes === undefined) return undefined;
    return {
      sizeBytes,
      async *read(offset = 0) {
        using file = Fd.adopt(openSync(path, 'r'));
        yield* fileRange(file.number, offset, sizeBytes, `blob ${digest}`);
      },
    };
  }

  /** Begins to keep a blob. */
  keep(digest: Digest): BlobKeeper {
    try {
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
      using dir = openDirectory(this.#dir);
      const file = openat2(dir, '.', { flags: O_WRONLY | O_TMPFILE, mode: 0o600 });
      return new Keeper(file, this.#path(digest));
    } catch {
      // No room, no rights, or a file system without unnamed files.
      return new Keeper(undefined, '');
    }
  }

  /** Deletes all blobs but those that `wanted` has; without it, all. Returns how many bytes that freed. */
  prune(wanted: ReadonlySet<Digest> = new Set()): number {
    let freedBytes = 0;
    for (const name of namesIn(this.#dir)) {
      const digest = name.replace('-', ':');
      if (isDigest(digest) && wanted.has(digest)) continue;
      const path = join(this.#dir, name);
      const size = statSync(path, { throwIfNoEntry: false })?.size;
      if (size === undefined) continue;
      try {
        unlinkSync(path);
        freedBytes += size;
      } catch {
        // Somebody else was faster.
      }
    }
    return freedBytes;
  }

  #path(digest: Digest): string {
    return join(this.#dir, digest.replace(':', '-'));
  }
}

class Keeper implements BlobKeeper {
  #file: Fd | undefined;
  readonly #path: string;
  #writing: Promise<number> | undefined;

  constructor(file: Fd | undefined, path: string) {
    this.#file = file;
    this.#path = path;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && this.#file !== undefined;) {
      this.#writing = writeSome(this.#file, bytes.subarray(at));
      const written = await this.#writing;
      this.#writing = undefined;
      if (written === 0) this[Symbol.dispose]();
      at += written;
    }
  }

  commit(): void {
    using file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      using dir = openDirectory(dirname(this.#path));
      linkat(file, '', dir, basename(this.#path));
    } catch {
      // It is there already, or there is no room for a name.
    }
  }

  [Symbol.dispose](): void {
    const file = this.#file;
    this.#file = undefined;
    // A thread may be writing still: the number must not become another file's meanwhile.
    if (this.#writing === undefined) file?.close();
    else void this.#writing.then(() => file?.close());
  }
}

/** How many bytes went into the file, 0 for a failure: a full disk, mostly. */
function writeSome(file: Fd, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve) => {
    write(file.number, bytes, 0, bytes.length, null, (error, written) => resolve(error === null ? written : 0));
  });
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
