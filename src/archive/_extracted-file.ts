import { ftruncateSync, writeSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { TareError } from '../base/errors.ts';
import { linkat, renameat2, S_IFDIR, S_IFMT, unlinkat } from '../sys/at.ts';
import { isErrno, SysError, sysErrorOf } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { O_CREAT, O_EXCL, O_NOFOLLOW, O_PATH, O_TMPFILE, O_WRONLY, openat2 } from '../sys/open.ts';
import { AT_SYMLINK_NOFOLLOW, fstat, type Stat, statx } from '../sys/stat.ts';
import { applyMeta, type Meta, type MetaRules } from './_extract-meta.ts';
import { baseName, type ByteString } from './byte-string.ts';

/** Zeros of this length, at such a place, are not written: the file has a hole there, as the original may have. */
const HOLE_BYTES = 4096;
const EEXIST = 17;
const EBUSY = 16;
const ZEROS = Buffer.alloc(HOLE_BYTES);

/** Which file it is, to know it again. */
export interface FileIdentity {
  readonly inode: bigint;
  readonly device: string;
}

export function identityOf(fd: Fd): FileIdentity {
  const { inode, deviceMajor, deviceMinor } = fstat(fd);
  return { inode, device: `${deviceMajor}:${deviceMinor}` };
}

/** A file without a name while it is written: it appears complete, or not at all. */
export class ExtractedFile implements Disposable {
  readonly path: ByteString;
  readonly #fd: Fd;
  readonly #meta: Meta | undefined;
  /** Its name until it is placed, where the file system cannot do without. */
  #temp: TempName | undefined;
  #at = 0;

  private constructor(fd: Fd, path: ByteString, meta?: Meta, temp?: TempName) {
    this.#fd = fd;
    this.path = path;
    this.#meta = meta;
    this.#temp = temp;
  }

  /** A new one in the file system of `parent`. `meta` is copied. */
  static create(parent: Fd, path: ByteString, meta: Meta, canBeNameless: boolean): ExtractedFile {
    const { mode, uid, gid, mtimeSeconds, mtimeNanoseconds, xattrs } = meta;
    const { fd, temp } = canBeNameless ? nameless(parent) : named(parent);
    return new ExtractedFile(fd, path, { mode, uid, gid, mtimeSeconds, mtimeNanoseconds, xattrs }, temp);
  }

  /** One that was placed. Errors: `failed-precondition` when another file has its name by now. */
  static reopen(parent: Fd, path: ByteString, known: FileIdentity): ExtractedFile {
    const name = Buffer.from(baseName(path), 'latin1');
    const file = new ExtractedFile(openat2(parent, name, { flags: O_PATH | O_NOFOLLOW }), path);
    const { inode, device } = file.identity();
    if (inode === known.inode && device === known.device) return file;
    file[Symbol.dispose]();
    throw new TareError(
      'failed-precondition',
      `Cannot link to ${JSON.stringify(name.toString())}: somebody replaced it`,
    );
  }

  identity(): FileIdentity {
    return identityOf(this.#fd);
  }

  /** Appends. Errors: by errno. */
  write(bytes: Buffer, start: number, end: number): void {
    /** Where what must be written begins. */
    let from = start;
    for (let at = start; at < end;) {
      const length = Math.min(HOLE_BYTES - ((this.#at + at - from) % HOLE_BYTES), end - at);
      if (length === HOLE_BYTES && bytes.compare(ZEROS, 0, length, at, at + length) === 0) {
        this.#write(bytes, from, at - from);
        this.#at += at - from + length;
        from = at + length;
      }
      at += length;
    }
    this.#write(bytes, from, end - from);
    this.#at += end - from;
  }

  #write(bytes: Buffer, from: number, length: number): void {
    try {
      for (let done = 0; done < length;)
        done += writeSync(this.#fd.number, bytes, from + done, length - done, this.#at + done);
    } catch (error) {
      throw sysErrorOf(error);
    }
  }

  /** Appends zeros that are not written. */
  hole(sizeBytes: number): void {
    this.#at += sizeBytes;
  }

  /** All is written: size, owner, attributes, mode, time. */
  finish(rules: MetaRules): void {
    try {
      ftruncateSync(this.#fd.number, this.#at);
    } catch (error) {
      throw sysErrorOf(error);
    }
    if (this.#meta !== undefined) applyMeta(this.#fd, this.#meta, rules);
  }

  /** Gives it the name, which another file loses. Errors: EISDIR, ENOTEMPTY, EEXIST where a directory is; by errno. */
  place(parent: Fd, name: Buffer): void {
    if (this.#temp !== undefined) {
      checkPlace(parent, name);
      renameat2(this.#temp.dir, this.#temp.name, parent, name);
      this.#forgetTemp();
      return;
    }
    try {
      linkat(this.#fd, '', parent, name);
      return;
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    const own = this.identity();
    const there = checkPlace(parent, name);
    if (there === undefined) throw new SysError('linkat', EEXIST);
    if (there.inode === own.inode && `${there.deviceMajor}:${there.deviceMinor}` === own.device) return;
    if ((there.mode & S_IFMT) === S_IFDIR) throw new SysError('linkat', EEXIST);
    const temp = tempName();
    linkat(this.#fd, '', parent, temp);
    // It may not be without a name again.
    this.#temp = { dir: parent.duplicate(), name: temp };
    renameat2(parent, temp, parent, name);
    this.#forgetTemp();
  }

  #forgetTemp(): void {
    this.#temp?.dir.close();
    this.#temp = undefined;
  }

  [Symbol.dispose](): void {
    try {
      if (this.#temp !== undefined) unlinkat(this.#temp.dir, this.#temp.name);
    } catch {
      // Somebody else removed it.
    }
    this.#forgetTemp();
    this.#fd.close();
  }
}

interface TempName {
  readonly dir: Fd;
  readonly name: string;
}

const tempName = (): string => `.tare-cp-${randomUUID()}`;

function nameless(parent: Fd): { fd: Fd; temp?: TempName } {
  try {
    return { fd: openat2(parent, '.', { flags: O_TMPFILE | O_WRONLY, mode: 0o600 }) };
  } catch (error) {
    if (!isErrno(error, 'EOPNOTSUPP', 'EISDIR', 'ENOENT')) throw error;
  }
  return named(parent);
}

/** For a file system without O_TMPFILE. */
function named(parent: Fd): { fd: Fd; temp: TempName } {
  const name = tempName();
  const fd = openat2(parent, name, { flags: O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, mode: 0o600 });
  return { fd, temp: { dir: parent.duplicate(), name } };
}

/**
 * What stands in the way. A mount does: to the kernel it would be none of ours, being in another namespace, and be gone. Errors: EBUSY for one.
 */
export function checkPlace(parent: Fd, name: Buffer): Stat | undefined {
  let there: Stat;
  try {
    there = statx(parent, name, AT_SYMLINK_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
  if (there.isMountRoot) throw new SysError('renameat2', EBUSY);
  return there;
}
