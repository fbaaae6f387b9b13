import { TareError } from '../base/errors.ts';
import { Apply, type ApplyMeta } from '../sys/apply.ts';
import { isErrno } from '../sys/error.ts';
import type { FdLike } from '../sys/fd.ts';
import { type ByteString, cleanPath, utf8Of } from './byte-string.ts';
import { type TarEntry, TarReader, type TarSink } from './tar-reader.ts';
import { TarSplitWriter } from './tar-split.ts';
import { WhiteoutFiles } from './_whiteout-files.ts';
import { isOverlayXattr, whiteoutOf } from './whiteout.ts';

export interface UnpackOptions {
  /** Marks for overlayfs mounts made in a user namespace. */
  readonly userXattr?: boolean;
  /** False: device nodes are skipped. */
  readonly devices?: boolean;
  /** What whiteouts become: overlayfs's own marks (the default), or files as fuse-overlayfs has them where no marks can be made. */
  readonly whiteouts?: 'marks' | 'files';
  readonly maxEntries?: number;
  /** Receives the JSON lines of tar-split, in order. */
  readonly onSplit?: (lines: string) => void;
}

/** What a layer turned out to be. */
export interface Unpacked {
  /** Of the tar. */
  readonly sizeBytes: number;
  /** Owners, ascending. */
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  /** It had an entry for its root directory: owner and mode of the directory are the image's own. */
  readonly hasRoot: boolean;
}

/** What one write hands to the parser at once: bounds the batches that can pile up before the next wait. */
const SLICE_BYTES = 256 * 1024;
/** All names of a layer together, which are kept to find one that occurs twice: more than any layer has. */
const MAX_NAME_BYTES = 256 * 2 ** 20;
/** Different owners of a layer, which are kept in its record. */
const MAX_OWNERS = 65_536;
/** Holes of all files together. They cost nothing here, but whoever copies such a file may write them all. */
const MAX_HOLE_BYTES = 2 ** 40;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const S_IFIFO = 0o010000;

/** Attributes an image may not set: they mean something to overlayfs, or belong to the host's policy. */
function isForbidden([name]: readonly [ByteString, ByteString]): boolean {
  return isOverlayXattr(name) || name.startsWith('trusted.') || name === 'security.selinux';
}

/** What the entries of a layer ask for and cannot get, as opposed to a failure of the disk. */
const mistakes: Readonly<Record<string, string>> = {
  ENOENT: 'it leads to what is no earlier entry of the layer',
  ENOTDIR: 'something on its way is no directory',
  EISDIR: 'it takes the place of a directory',
  ENOTEMPTY: 'it takes the place of a directory',
  ELOOP: 'there are too many symbolic links on its way',
  EPERM: 'the file system does not allow this entry',
  EXDEV: 'it leads out of the layer',
  EMLINK: 'the file has too many names',
  EFBIG: 'the file is larger than the file system can hold',
  EINVAL: 'the file system does not take its name or attributes',
  ENODEV: 'the file system does not take its name or attributes',
  ERANGE: 'an attribute is too long',
  ENAMETOOLONG: 'its name is too long',
  E2BIG: 'it needs too many directories that no entry describes',
};

const UNMAPPED =
  'its owner is not among the ids of this user; give it more in /etc/subuid and /etc/subgid, then run tare system migrate';

/** An errno about an entry in words, and as a fault of the layer where it is one. Names of the image are shown quoted: they may hold anything. */
function entryError(error: unknown): unknown {
  if (!isErrno(error, ...Object.keys(mistakes)) || error.path === undefined) return error;
  // Only in a user namespace, which has no id for it.
  const isOwner = error.code === 'EINVAL' && error.syscall.includes('chown');
  const why = `${isOwner ? UNMAPPED : (mistakes[error.code] ?? '')} (${error.syscall}: ${error.code})`;
  return new TareError('invalid', `Cannot unpack layer: ${JSON.stringify(error.path)}: ${why}`, { cause: error });
}

/**
 * Writes the tar of one layer as an overlayfs lower directory, in one pass: whiteouts become overlayfs's own, names stay within the directory, hard
 * links only reach earlier entries of the layer. The directory must be private until `finish` has resolved.
 *
 * A path that occurs twice is refused (`invalid`), as containers/storage does: tar-split could not rebuild the layer.
 */
export class LayerUnpacker implements AsyncDisposable {
  readonly #apply: Apply;
  readonly #reader: TarReader;
  readonly #split: TarSplitWriter | undefined;
  readonly #onSplit: ((lines: string) => void) | undefined;
  readonly #whiteoutFiles: WhiteoutFiles | undefined;
  #sizeBytes = 0;

  readonly #paths = new Set<ByteString>();
  #nameBytes = 0;
  #holeBytes = 0;
  readonly #dirTimes: [ByteString, number, number][] = [];
  readonly #uids = new Set<number>();
  readonly #gids = new Set<number>();
  #hasRoot = false;

  constructor(dir: FdLike, options: UnpackOptions = {}) {
    const split = options.onSplit === undefined ? undefined : new TarSplitWriter();
    this.#split = split;
    this.#onSplit = options.onSplit;
    this.#whiteoutFiles = options.whiteouts === 'files' ? new WhiteoutFiles() : undefined;
    this.#apply = Apply.open(dir, {
      userXattr: options.userXattr ?? false,
      devices: options.devices ?? true,
      ...(split === undefined ? {} : { onCrc: (bytes, offset) => split.crc(bytes, offset) }),
    });
    this.#reader = new TarReader(
      this.#sink(),
      options.maxEntries === undefined ? {} : { maxEntries: options.maxEntries },
    );
  }

  /**
   * The next bytes of the tar; they are not kept. Resolves when more may come.
   *
   * Errors: of TarReader; `invalid` for what no layer may hold; `exhausted` for a full disk or a layer past the limits; by errno of the file system. Then the layer
   * is of no use.
   */
  async write(bytes: Uint8Array): Promise<void> {
    this.#sizeBytes += bytes.length;
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      this.#reader.write(bytes.length <= SLICE_BYTES ? bytes : bytes.subarray(at, at + SLICE_BYTES));
      if (this.#apply.busy) await this.#ready();
      this.#emit(this.#split?.take());
    }
  }

  /** No more bytes: waits until all is written. Errors: as `write`; `invalid` when the tar was cut short. */
  async finish(): Promise<Unpacked> {
    this.#reader.end();
    await this.#whiteoutFiles?.make(this.#apply, async () => (this.#apply.busy ? this.#ready() : undefined));
    for (let i = this.#dirTimes.length - 1; i >= 0; i--) {
      const [path, seconds, nanoseconds] = this.#dirTimes[i] as [ByteString, number, number]; // in bounds
      this.#apply.times(path, seconds, nanoseconds);
      if (this.#apply.busy) await this.#ready();
    }
    try {
      await this.#apply.finish();
    } catch (error) {
      throw entryError(error);
    }
    this.#emit(this.#split?.finish());
    const ascending = (set: Set<number>): number[] => [...set].sort((a, b) => a - b);
    return {
      sizeBytes: this.#sizeBytes,
      uids: ascending(this.#uids),
      gids: ascending(this.#gids),
      hasRoot: this.#hasRoot,
    };
  }

  /** Ends the thread; what was written stays for the caller to remove. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#apply[Symbol.asyncDispose]();
  }

  async #ready(): Promise<void> {
    try {
      await this.#apply.ready();
    } catch (error) {
      throw entryError(error);
    }
  }

  #emit(lines: string | undefined): void {
    if (lines !== undefined && lines !== '') this.#onSplit?.(lines);
  }

  #sink(): TarSink {
    const apply = this.#apply;
    const split = this.#split;
    const files = this.#whiteoutFiles;
    /** The file whose contents come now. */
    let file: ApplyMeta | undefined;
    let sizeBytes = 0;
    /** Its contents cannot be had back from the file as the archive has them: they are kept with the raw bytes. */
    let isSparse = false;
    return {
      raw: (bytes, start, end) => split?.raw(bytes, start, end),
      entry: (entry) => {
        const path = this.#admit(entry);
        const whiteout = whiteoutOf(path);
        const meta: ApplyMeta =
          whiteout === undefined && entry.xattrs.some(isForbidden)
            ? { ...entry, xattrs: entry.xattrs.filter((x) => !isForbidden(x)) }
            : entry;
        if (whiteout !== undefined) {
          // Contents that it should not have are kept with the raw bytes: there is no file to take them from.
          split?.file(entry.path, 0);
          if (files !== undefined) files.add(whiteout, meta);
          else if (whiteout.kind === 'opaque') apply.opaque(whiteout.path);
          else if (whiteout.kind === 'whiteout') apply.whiteout(whiteout.path, meta);
          return;
        }
        files?.entry(path, entry.kind);
        sizeBytes = entry.isSparse ? 0 : entry.sizeBytes;
        split?.file(entry.path, sizeBytes);
        if (entry.kind === 'file') {
          apply.file(path);
          // The entry is the reader's, unchanged until the next one.
          file = meta;
          isSparse = entry.isSparse;
        } else this.#add(entry, path, meta);
      },
      data: (bytes, start, end) => {
        if (file !== undefined) apply.data(bytes, start, end);
        if (file === undefined || isSparse) split?.raw(bytes, start, end);
      },
      hole: (bytes) => {
        this.#holeBytes += bytes;
        if (this.#holeBytes > MAX_HOLE_BYTES)
          throw new TareError(
            'exhausted',
            `Cannot unpack layer: its files have holes of more than ${MAX_HOLE_BYTES} bytes`,
          );
        if (file !== undefined) apply.hole(bytes);
      },
      endEntry: () => {
        if (file !== undefined) apply.end(file, sizeBytes > 0);
        file = undefined;
      },
    };
  }

  /** Checks what concerns the entry's place; returns its clean path. */
  #admit(entry: TarEntry): ByteString {
    const path = cleanPath(entry.path);
    if (path === '') {
      if (entry.kind !== 'dir') throw new TareError('invalid', `Cannot unpack layer: its root is a ${entry.kind}`);
      this.#hasRoot = true;
    }
    const before = this.#paths.size;
    this.#paths.add(path);
    if (this.#paths.size === before)
      throw new TareError('invalid', `Cannot unpack layer: ${JSON.stringify(utf8Of(path))} occurs twice`);
    this.#nameBytes += path.length;
    this.#uids.add(entry.uid);
    this.#gids.add(entry.gid);
    if (this.#nameBytes > MAX_NAME_BYTES || this.#uids.size > MAX_OWNERS || this.#gids.size > MAX_OWNERS)
      throw new TareError(
        'exhausted',
        `Cannot unpack layer: it has more than ${MAX_OWNERS} owners, or ${MAX_NAME_BYTES} bytes of names`,
      );
    return path;
  }

  #add(entry: TarEntry, path: ByteString, meta: ApplyMeta): void {
    const apply = this.#apply;
    const withType = (type: number): ApplyMeta => ({ ...entry, mode: entry.mode | type, xattrs: meta.xattrs });
    switch (entry.kind) {
      case 'dir':
        this.#dirTimes.push([path, entry.mtimeSeconds, entry.mtimeNanoseconds]);
        return apply.dir(path, meta);
      case 'symlink':
        return apply.symlink(path, entry.linkPath, meta);
      case 'link': {
        const target = cleanPath(entry.linkPath);
        if (target === '')
          throw new TareError(
            'invalid',
            `Cannot unpack layer: ${JSON.stringify(utf8Of(path))} is a hard link to the root`,
          );
        return apply.link(path, target, meta);
      }
      case 'char':
        return apply.node(path, withType(S_IFCHR), entry.major, entry.minor);
      case 'block':
        return apply.node(path, withType(S_IFBLK), entry.major, entry.minor);
      case 'fifo':
        return apply.node(path, withType(S_IFIFO), 0, 0);
      case 'file':
        return;
    }
  }
}
