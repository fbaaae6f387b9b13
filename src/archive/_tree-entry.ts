import { TareError } from '../base/errors.ts';
import { readlinkat, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } from '../sys/at.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { AT_FDCWD, O_DIRECTORY, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_PATH, O_RDONLY, openat2 } from '../sys/open.ts';
import { fstat, type Stat, statfs } from '../sys/stat.ts';
import { getXattr, listXattrs } from '../sys/xattr.ts';
import { baseName, type ByteString, bytesOf, utf8Of } from './byte-string.ts';
import type { TarKind } from './tar-reader.ts';
import { tarHeader, type TarInput } from './tar-writer.ts';
import { isOverlayXattr, OPAQUE_FILE, OPAQUE_XATTRS, whiteoutFile } from './whiteout.ts';

/**
 * `files`: a tree as it is. `layer`: an overlayfs upper directory becomes the layer that makes it (OCI image spec, layer.md, "Whiteouts"). `fuse-layer`: one that fuse-overlayfs wrote, which has whiteouts as
 * files, too.
 */
export type EntryForm = 'files' | 'layer' | 'fuse-layer';

/** What a walk does about mounts in the tree: `all` go in, `none`, or `files` only, not what the kernel shows of itself (procfs, sysfs …). */
export type MountsInTree = 'all' | 'files' | 'none';

/** File systems without files: proc, sysfs, cgroup, cgroup2, devpts, mqueue, bpf, debugfs, tracefs, securityfs, configfs, binfmt_misc. */
const KERNEL_FILES: ReadonlySet<number> = new Set([
  0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x1cd1, 0x19800202, 0xcafe4a11, 0x64626720, 0x74726163, 0x73636673,
  0x62656570, 0x42494e4d,
]);

/** Other owners than a file system shows: those of a container, or the other way round. */
export interface IdChange {
  uid(uid: number): number;
  gid(gid: number): number;
  /** Of an extended attribute, which may name an id. */
  xattr?(name: string, value: Buffer): Buffer;
}

/** A directory that a walk is in. */
export interface TreeDir {
  readonly fd: Fd;
  /** Below the tree. */
  readonly path: ByteString;
  /** In the archive. */
  readonly name: ByteString;
  readonly names: readonly ByteString[];
  at: number;
}

/** What one entry of the tree becomes. */
export class Entered implements Disposable {
  readonly path: ByteString;
  readonly name: ByteString;
  readonly headers: readonly Uint8Array[];
  readonly isDir: boolean;
  readonly sizeBytes: number;
  /** Opened for reading: a directory, or a file whose contents follow. */
  object: Fd | undefined;

  constructor(about: Pick<Entered, 'path' | 'name' | 'headers'> & Partial<Entered>) {
    this.path = about.path;
    this.name = about.name;
    this.headers = about.headers;
    this.isDir = about.isDir ?? false;
    this.sizeBytes = about.sizeBytes ?? 0;
    this.object = about.object;
  }

  take(): Fd {
    const fd = this.object as Fd; // asked for before
    this.object = undefined;
    return fd;
  }

  [Symbol.dispose](): void {
    this.object?.close();
  }
}

const kinds: ReadonlyMap<number, TarKind> = new Map([
  [S_IFREG, 'file'],
  [S_IFDIR, 'dir'],
  [S_IFLNK, 'symlink'],
  [S_IFCHR, 'char'],
  [S_IFBLK, 'block'],
  [S_IFIFO, 'fifo'],
]);

/** Makes entries of what it is shown, one at a time. */
export class TreeEntries {
  readonly #isLayer: boolean;
  readonly #isFuse: boolean;
  readonly #keep: ((path: ByteString) => boolean) | undefined;
  /** Where the files with several names were met first. */
  readonly #linked = new Map<string, ByteString>();

  readonly #mounts: MountsInTree;
  readonly #ids: IdChange | undefined;

  constructor(
    form: EntryForm,
    keep: ((path: ByteString) => boolean) | undefined,
    mounts: MountsInTree,
    ids: IdChange | undefined,
  ) {
    this.#isLayer = form !== 'files';
    this.#isFuse = form === 'fuse-layer';
    this.#keep = keep;
    this.#mounts = mounts;
    this.#ids = ids;
  }

  /** Undefined for what is gone, or left out. */
  child(dir: TreeDir, child: ByteString): Entered | undefined {
    const whiteout = this.#isFuse ? whiteoutFile(child) : undefined;
    if (whiteout === '') return undefined;
    const named = whiteout ?? child;
    const path = dir.path === '' ? named : `${dir.path}/${named}`;
    if (this.#keep?.(path) === false) return undefined;
    if (this.#isLayer && whiteout === undefined && child.startsWith('.wh.'))
      throw new TareError(
        'unsupported',
        `Cannot make a layer of ${JSON.stringify(utf8Of(path))}: names that begin with .wh. mean removed files there; rename it`,
      );
    let object: Fd;
    try {
      object = openat2(dir.fd, Buffer.from(child, 'latin1'), { flags: O_PATH | O_NOFOLLOW });
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ESTALE')) return undefined;
      throw error;
    }
    using held = object;
    if (whiteout !== undefined)
      return new Entered({
        path,
        name: child,
        headers: [whiteoutHeader(dir.name === '' ? child : `${dir.name}/${child}`, fstat(held))],
      });
    return this.enter(held, dir.name === '' ? child : `${dir.name}/${child}`, path);
  }

  /** `tree` stays the caller's. */
  enter(tree: Fd, name: ByteString, path: ByteString): Entered | undefined {
    const stat = fstat(tree);
    const kind = kinds.get(stat.mode & S_IFMT);
    if (kind === undefined) return undefined;
    if (path !== '' && stat.isMountRoot && this.#isLeftOut(tree)) return mountPoint(path, name, kind);
    if (this.#isLayer && kind === 'char' && stat.rdevMajor === 0 && stat.rdevMinor === 0)
      return new Entered({ path, name, headers: [whiteoutHeader(`${parentSlash(name)}.wh.${baseName(name)}`, stat)] });
    const first = kind === 'dir' || stat.links === 1 ? undefined : this.#firstName(stat, name);
    const isDir = kind === 'dir';
    using stack = new DisposableStack();
    const object = kind === 'file' || isDir ? stack.use(reopen(tree, isDir, path)) : undefined;
    const xattrs = object === undefined ? [] : this.#xattrs(object, path);
    const headers: Uint8Array[] = [];
    if (!isDir || name !== '')
      headers.push(
        tarHeader({
          ...metaOf(stat),
          ...this.#ownerOf(stat),
          path: name,
          kind: first === undefined ? kind : 'link',
          xattrs: xattrs.filter(([key]) => !isForbidden(key)),
          ...(first === undefined ? contentOf(tree, kind, stat) : { linkPath: first }),
        }),
      );
    if (this.#isLayer && isDir && (isOpaque(xattrs) || (this.#isFuse && object !== undefined && hasOpaqueFile(object))))
      headers.push(whiteoutHeader(`${name === '' ? '' : `${name}/`}.wh..wh..opq`, stat));
    const sizeBytes = first === undefined && kind === 'file' ? stat.sizeBytes : 0;
    if (object === undefined || (!isDir && sizeBytes === 0)) return new Entered({ path, name, headers });
    stack.move();
    return new Entered({ path, name, headers, isDir, sizeBytes, object });
  }

  #ownerOf({ uid, gid }: Stat): { uid: number; gid: number } {
    return this.#ids === undefined ? { uid, gid } : { uid: this.#ids.uid(uid), gid: this.#ids.gid(gid) };
  }

  #isLeftOut(mountRoot: Fd): boolean {
    return this.#mounts === 'none' || (this.#mounts === 'files' && KERNEL_FILES.has(statfs(mountRoot).type));
  }

  #firstName(stat: Stat, name: ByteString): ByteString | undefined {
    const key = `${stat.deviceMajor}:${stat.deviceMinor}:${stat.inode}`;
    const first = this.#linked.get(key);
    if (first === undefined) this.#linked.set(key, name);
    return first;
  }

  #xattrs(object: Fd, path: ByteString): (readonly [ByteString, ByteString])[] {
    const xattrs: (readonly [ByteString, ByteString])[] = [];
    for (const key of namesOfXattrs(object)) {
      if (this.#isLayer && /^(?:trusted|user)\.overlay\.(?:redirect|metacopy)$/.test(key))
        throw new TareError(
          'unsupported',
          `Cannot make a layer of ${JSON.stringify(utf8Of(path))}: overlayfs keeps only a reference there (${key}); turn redirect_dir and metacopy of the overlay module off`,
        );
      const value = getXattr(object, key);
      if (value === undefined) continue;
      xattrs.push([bytesOf(key), (this.#ids?.xattr?.(key, value) ?? value).toString('latin1')]);
    }
    return xattrs;
  }
}

function namesOfXattrs(object: Fd): string[] {
  try {
    return listXattrs(object);
  } catch (error) {
    if (isErrno(error, 'EOPNOTSUPP', 'ENOSYS', 'EPERM')) return [];
    throw error;
  }
}

/** The same object, for reading: by its descriptor, whatever its name means by now. */
function reopen(tree: Fd, isDir: boolean, path: ByteString): Fd {
  try {
    return openat2(AT_FDCWD, `/proc/self/fd/${tree.number}`, {
      flags: O_RDONLY | O_NONBLOCK | O_NOCTTY | (isDir ? O_DIRECTORY : 0),
    });
  } catch (cause) {
    if (!isErrno(cause, 'EACCES', 'EPERM')) throw cause;
    throw new TareError('denied', `Cannot read ${JSON.stringify(utf8Of(path))}: permission denied`, { cause });
  }
}

function isForbidden(key: ByteString): boolean {
  return isOverlayXattr(key) || key.startsWith('trusted.') || key === 'security.selinux';
}

function isOpaque(xattrs: readonly (readonly [ByteString, ByteString])[]): boolean {
  return xattrs.some(([key, value]) => OPAQUE_XATTRS.includes(key) && value === 'y');
}

function hasOpaqueFile(dir: Fd): boolean {
  try {
    openat2(dir, OPAQUE_FILE, { flags: O_PATH | O_NOFOLLOW }).close();
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESTALE')) return false;
    throw error;
  }
}

function contentOf(tree: Fd, kind: TarKind, stat: Stat): Partial<TarInput> {
  switch (kind) {
    case 'file':
      return { sizeBytes: stat.sizeBytes };
    case 'symlink':
      return { linkPath: readlinkat(tree, '').toString('latin1') };
    case 'char':
    case 'block':
      return { major: stat.rdevMajor, minor: stat.rdevMinor };
    default:
      return {};
  }
}

function metaOf(stat: Stat): Pick<TarInput, 'mode' | 'uid' | 'gid' | 'mtimeSeconds' | 'mtimeNanoseconds'> {
  const nanoseconds = ((stat.mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return {
    mode: stat.mode & 0o7777,
    uid: stat.uid,
    gid: stat.gid,
    mtimeSeconds: Number((stat.mtimeNs - nanoseconds) / 1_000_000_000n),
    mtimeNanoseconds: Number(nanoseconds),
  };
}

function whiteoutHeader(path: ByteString, stat: Stat): Uint8Array {
  const { mtimeSeconds } = metaOf(stat);
  return tarHeader({ path, kind: 'file', mode: 0o600, ...(mtimeSeconds === undefined ? {} : { mtimeSeconds }) });
}

function parentSlash(name: ByteString): ByteString {
  return name.slice(0, name.lastIndexOf('/') + 1);
}

/** What is mounted is left out; what it stands on cannot be seen. */
function mountPoint(path: ByteString, name: ByteString, kind: TarKind): Entered {
  return new Entered({ path, name, headers: [tarHeader({ path: name, kind: kind === 'dir' ? 'dir' : 'file' })] });
}
