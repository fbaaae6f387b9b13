import { addon } from './addon.ts';
import { SysError } from './error.ts';
import { type FdLike, numberOf } from './fd.ts';

/**
 * One char per byte ("latin1"): how names of an image travel, since they need not be UTF-8. Cheap to compare, to use as a key, and to encode.
 */
type ByteString = string;

/** Owner, mode, time and attributes of one entry. Read when the operation is added, never kept. */
export interface ApplyMeta {
  /** Permission bits, and for `node` the S_IFMT bits too. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  /** Name and value, set as they are: the caller has dropped what an image may not set. */
  readonly xattrs: readonly (readonly [name: ByteString, value: ByteString])[];
}

export interface ApplyOptions {
  /** overlayfs marks as `user.overlay.*`, as mounts made in a user namespace read them. */
  readonly userXattr?: boolean;
  /** False: device nodes are skipped, as only the initial user namespace can make them. */
  readonly devices?: boolean;
  /** Called once per `end` that asks for it, in order, with the CRC-64/ISO of the file: 8 bytes, big endian, at `offset` of `buffer`. */
  readonly onCrc?: (buffer: Buffer, offset: number) => void;
}

/** The functions of native/addon/apply.c. */
interface ApplyAddon {
  applyOpen(dir: number, flags: number, done: (errno: number, step?: string, path?: string) => void): object | number;
  applySubmit(handle: object, batch: Buffer): number;
  applyEnd(handle: object): number;
}

interface Batch {
  readonly buffer: Buffer;
  readonly ends: readonly number[];
}

// Kept in step with native/addon/apply.h.
const DIR = 1;
const FILE = 2;
const DATA = 3;
const END = 4;
const SYMLINK = 5;
const LINK = 6;
const NODE = 7;
const WHITEOUT = 8;
const OPAQUE = 9;
const TIMES = 10;
const HOLE = 11;
const USER_XATTR = 1;
const NO_DEVICES = 2;
const CRC = 4;

const BATCH_BYTES = 512 * 1024;
/** Batches on their way to the thread; with the one being filled this bounds the memory of a layer to 2.5 MiB. */
const MAX_PENDING = 4;
const S_IFMT = 0o170000;
const EINVAL = 22;

/**
 * Writes one directory tree by batches of operations that a thread of its own executes (native/addon/apply.c), in the order they were added.
 *
 * Paths are relative to the directory, without leading or trailing slash, `.` or `..`; the empty path is the directory itself. Their parents are
 * resolved as if the directory were the root, so no symbolic link in the tree leads out of it, and made (0755, owner root) when missing. A later entry
 * replaces an earlier one, except that a directory stays. Adding never fails and never waits: errors come from `ready` and `finish`.
 * Callers await `ready()` now and then to bound memory.
 */
export class Apply implements AsyncDisposable {
  readonly #native: ApplyAddon;
  readonly #onCrc: ((buffer: Buffer, offset: number) => void) | undefined;
  #handle: object;
  #buffer: Buffer = Buffer.allocUnsafeSlow(BATCH_BYTES);
  #at = 0;
  #ends: number[] = [];
  #pending: Batch[] = [];
  #free: Buffer[] = [];
  #error: SysError | undefined;
  #ended = false;
  #closed = Promise.withResolvers<void>();
  #wake: (() => void) | undefined;

  private constructor(dir: FdLike, options: ApplyOptions) {
    this.#native = addon() as unknown as ApplyAddon;
    this.#onCrc = options.onCrc;
    const flags =
      (options.userXattr === true ? USER_XATTR : 0) |
      (options.devices === false ? NO_DEVICES : 0) |
      (options.onCrc === undefined ? 0 : CRC);
    const handle = this.#native.applyOpen(numberOf(dir), flags, (errno, step, path) => this.#report(errno, step, path));
    if (typeof handle === 'number') throw new SysError('openat', -handle);
    this.#handle = handle;
  }

  /** Starts a thread that writes beneath `dir`, which may be closed afterwards. Errors: by errno. */
  static open(dir: FdLike, options: ApplyOptions = {}): Apply {
    return new Apply(dir, options);
  }

  /** A directory; an existing one gets the owner, mode and attributes. Its times are set by `times`, when its entries are there. */
  dir(path: ByteString, meta: ApplyMeta): void {
    this.#begin(DIR, path, meta, 0);
    this.#meta(meta);
  }

  /** Creates a regular file; `data` and then `end` belong to it. */
  file(path: ByteString): void {
    this.#begin(FILE, path, undefined, 0);
  }

  /** Appends bytes `start` to `end` of `bytes` to the open file; they are copied. */
  data(bytes: Uint8Array, start: number, end: number): void {
    while (start < end) {
      if (this.#buffer.length - this.#at < 64) this.#flush();
      const length = Math.min(end - start, this.#buffer.length - this.#at - 5);
      this.#buffer[this.#at] = DATA;
      this.#buffer.writeUInt32LE(length, this.#at + 1);
      this.#buffer.set(
        start === 0 && length === bytes.length ? bytes : bytes.subarray(start, start + length),
        this.#at + 5,
      );
      this.#at += 5 + length;
      start += length;
    }
  }

  /** Appends zeros to the open file without writing them. They do not count for its CRC. */
  hole(sizeBytes: number): void {
    this.#begin(HOLE, undefined, undefined, 8);
    this.#at = this.#buffer.writeBigInt64LE(BigInt(sizeBytes), this.#at);
  }

  /** Closes the open file with its owner, mode, attributes and time; `reportCrc` false: without `onCrc`. */
  end(meta: ApplyMeta, reportCrc = true): void {
    this.#begin(END, undefined, meta, 8);
    this.#meta(meta);
    if (reportCrc) this.#ends.push(this.#at);
    this.#at += 8;
  }

  symlink(path: ByteString, target: ByteString, meta: ApplyMeta): void {
    this.#begin(SYMLINK, path, meta, target.length + 3);
    this.#meta(meta);
    this.#string(target);
  }

  /** A hard link; `target`, a path as all others, must exist by now, and gets the owner, mode, attributes and time. Of a symbolic link only the owner. */
  link(path: ByteString, target: ByteString, meta: ApplyMeta): void {
    this.#begin(LINK, path, meta, target.length + 3);
    this.#meta(meta);
    this.#string(target);
  }

  /** A device or FIFO, as the S_IFMT bits of the mode say. */
  node(path: ByteString, meta: ApplyMeta, major: number, minor: number): void {
    this.#begin(NODE, path, meta, 8);
    this.#meta(meta);
    this.#at = this.#buffer.writeUInt32LE(major, this.#at);
    this.#at = this.#buffer.writeUInt32LE(minor, this.#at);
  }

  /** Hides `path` of lower layers: overlayfs's character device 0:0, or the opaque mark when this layer has a directory there. */
  whiteout(path: ByteString, meta: ApplyMeta): void {
    this.#begin(WHITEOUT, path, meta, 0);
    this.#meta(meta);
  }

  /** Hides all that lower layers have in directory `path`. */
  opaque(path: ByteString): void {
    this.#begin(OPAQUE, path, undefined, 0);
  }

  /** Sets the time of a directory; one that is gone is skipped. */
  times(path: ByteString, seconds: number, nanoseconds: number): void {
    this.#begin(TIMES, path, undefined, 12);
    this.#at = this.#buffer.writeBigInt64LE(BigInt(seconds), this.#at);
    this.#at = this.#buffer.writeUInt32LE(nanoseconds, this.#at);
  }

  /** True when it is time to await `ready`. */
  get busy(): boolean {
    return this.#pending.length >= MAX_PENDING || this.#error !== undefined;
  }

  /** Resolves when more may be added. Errors: of any operation so far, by errno; `invalid` for what the writer refuses to decode. */
  async ready(): Promise<void> {
    while (this.#pending.length >= MAX_PENDING && this.#error === undefined) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (this.#error !== undefined) throw this.#error;
  }

  /** Executes what was added, ends the thread and closes all it opened. Errors: as `ready`. */
  async finish(): Promise<void> {
    if (!this.#ended) this.#flush();
    await this.#end();
    if (this.#error !== undefined) throw this.#error;
  }

  /** Abandons: what was submitted is still executed, the thread has ended afterwards. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }

  async #end(): Promise<void> {
    if (!this.#ended) {
      this.#ended = true;
      this.#native.applyEnd(this.#handle);
    }
    await this.#closed.promise;
  }

  #report(errno: number, step?: string, path?: string): void {
    if (errno !== 0) {
      // Names of the image are shown as what they most likely are.
      this.#error ??= new SysError(step ?? 'apply', errno, Buffer.from(path ?? '', 'latin1').toString('utf8'));
    }
    const batch = this.#pending.shift();
    if (batch === undefined) return this.#closed.resolve();
    if (this.#error === undefined && this.#onCrc !== undefined) {
      for (const offset of batch.ends) this.#onCrc(batch.buffer, offset);
    }
    if (batch.buffer.length === BATCH_BYTES) this.#free.push(batch.buffer);
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Puts the filled buffer on its way and provides an empty one. */
  #flush(): void {
    if (this.#at === 0) return;
    const filled = this.#buffer;
    const result = this.#ended ? -EINVAL : this.#native.applySubmit(this.#handle, filled.subarray(0, this.#at));
    if (result === 0) this.#pending.push({ buffer: filled, ends: this.#ends });
    else this.#error ??= new SysError('apply', -result);
    this.#buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(BATCH_BYTES);
    this.#ends = [];
    this.#at = 0;
  }

  /** Makes room for the whole operation, so that none is split over two batches, and writes its head. */
  #begin(op: number, path: ByteString | undefined, meta: ApplyMeta | undefined, extra: number): void {
    let bytes = 1 + (path === undefined ? 0 : path.length + 3) + extra;
    if (meta !== undefined) {
      bytes += 26;
      for (const [name, value] of meta.xattrs) bytes += name.length + value.length + 7;
    }
    if (this.#buffer.length - this.#at < bytes) {
      this.#flush();
      if (this.#buffer.length < bytes) this.#buffer = Buffer.allocUnsafeSlow(bytes);
    }
    this.#buffer[this.#at++] = op;
    if (path !== undefined) this.#string(path);
  }

  #string(text: ByteString): void {
    this.#at = this.#buffer.writeUInt16LE(text.length, this.#at);
    this.#at += this.#buffer.write(text, this.#at, 'latin1');
    this.#buffer[this.#at++] = 0;
  }

  #meta(meta: ApplyMeta): void {
    const buffer = this.#buffer;
    let at = buffer.writeUInt32LE(meta.mode & (S_IFMT | 0o7777), this.#at);
    at = buffer.writeUInt32LE(meta.uid, at);
    at = buffer.writeUInt32LE(meta.gid, at);
    // Two halves: a BigInt per entry would be an allocation.
    at = buffer.writeUInt32LE(meta.mtimeSeconds >>> 0, at);
    at = buffer.writeInt32LE(Math.floor(meta.mtimeSeconds / 4294967296), at);
    at = buffer.writeUInt32LE(meta.mtimeNanoseconds, at);
    this.#at = buffer.writeUInt16LE(meta.xattrs.length, at);
    for (const [name, value] of meta.xattrs) {
      this.#string(name);
      this.#at = buffer.writeUInt32LE(value.length, this.#at);
      this.#at += buffer.write(value, this.#at, 'latin1');
    }
  }
}
