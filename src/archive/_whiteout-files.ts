import type { Apply, ApplyMeta } from '../sys/apply.ts';
import { baseName, type ByteString, dirName } from './byte-string.ts';
import type { TarKind } from './tar-reader.ts';
import { OPAQUE_FILE, type Whiteout } from './whiteout.ts';

/**
 * Whiteouts of a layer as files named `.wh.NAME`, as fuse-overlayfs reads them (and podman writes them for it). They are made when all entries are known: fuse-overlayfs takes a whiteout for the last
 * word also about what the same layer has, where the image means the layers below.
 */
export class WhiteoutFiles {
  readonly #whiteouts = new Map<ByteString, ApplyMeta>();
  readonly #opaque = new Map<ByteString, ApplyMeta>();
  /** All entries, and the directories that they imply. A link may lead to a directory. */
  readonly #entries = new Map<ByteString, 'dir' | 'link' | 'other'>();

  /** Notes an entry that is there. */
  entry(path: ByteString, kind: TarKind): void {
    this.#entries.set(path, kind === 'dir' ? 'dir' : kind === 'symlink' ? 'link' : 'other');
    for (let dir = dirName(path); dir !== '' && !this.#entries.has(dir); dir = dirName(dir))
      this.#entries.set(dir, 'dir');
  }

  /** Notes what is not there any more. */
  add({ kind, path }: Whiteout, { uid, gid, mtimeSeconds, mtimeNanoseconds }: ApplyMeta): void {
    const meta = { mode: 0o600, uid, gid, mtimeSeconds, mtimeNanoseconds, xattrs: [] };
    if (kind === 'whiteout') this.#whiteouts.set(path, meta);
    else if (kind === 'opaque') this.#opaque.set(path, meta);
  }

  /** Makes the files. `onMade` is told after each. */
  async make(apply: Apply, onMade: () => Promise<void>): Promise<void> {
    for (const [path, meta] of this.#whiteouts) {
      const there = this.#entries.get(path);
      if (there === 'dir') this.#opaque.set(path, meta);
      if (there !== undefined || this.#isBeneathWhiteout(path)) continue;
      write(apply, child(dirName(path), `.wh.${baseName(path)}`), meta);
      await onMade();
    }
    for (const [path, meta] of this.#opaque) {
      if (path !== '' && this.#isWhiteout(path)) continue;
      write(apply, child(path, OPAQUE_FILE), meta);
      await onMade();
    }
  }

  #isWhiteout(path: ByteString): boolean {
    return (this.#whiteouts.has(path) && !this.#entries.has(path)) || this.#isBeneathWhiteout(path);
  }

  /** Where nothing is, nothing is removed. */
  #isBeneathWhiteout(path: ByteString): boolean {
    for (let dir = dirName(path); dir !== ''; dir = dirName(dir)) {
      // In a file nothing can be removed: that fails as any other entry would.
      if (this.#entries.has(dir)) return false;
      if (this.#whiteouts.has(dir)) return true;
    }
    return false;
  }
}

function write(apply: Apply, path: ByteString, meta: ApplyMeta): void {
  apply.file(path);
  apply.end(meta, false);
}

function child(dir: ByteString, name: ByteString): ByteString {
  return dir === '' ? name : `${dir}/${name}`;
}
