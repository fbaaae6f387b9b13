import { TareError } from '../base/errors.ts';
import { fchmod, fchmodat, fchownat, S_IFLNK, S_IFMT, utimensat } from '../sys/at.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { AT_FDCWD, O_NOFOLLOW, O_PATH, openat2 } from '../sys/open.ts';
import { fstat } from '../sys/stat.ts';
import { setXattr } from '../sys/xattr.ts';
import type { TarEntry } from './tar-reader.ts';
import { isOverlayXattr } from './whiteout.ts';
import type { IdChange } from './_tree-entry.ts';

/** Whom files belong to. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** How owners, modes and attributes of an archive are taken over. */
export interface MetaRules {
  /** Instead of the archive's; then set-id bits, which would speak for somebody else, are dropped. */
  readonly owner?: Owner;
  readonly xattrs?: 'all' | 'user';
  /** What becomes of owners, the archive's or that one. */
  readonly ids?: IdChange;
}

export type Meta = Pick<TarEntry, 'mode' | 'uid' | 'gid' | 'mtimeSeconds' | 'mtimeNanoseconds' | 'xattrs'>;

/** Of a file or directory that is open for more than its place. Owner first: it clears set-id bits and capabilities. */
export function applyMeta(fd: Fd, meta: Meta, rules: MetaRules): void {
  const { uid, gid } = ownerOf(meta, rules);
  fchownat(fd, '', uid, gid);
  for (const [name, value] of meta.xattrs) {
    const isForbidden = isOverlayXattr(name) || name.startsWith('trusted.') || name === 'security.selinux';
    if (isForbidden || (rules.xattrs === 'user' && !name.startsWith('user.'))) continue;
    try {
      setXattr(fd, Buffer.from(name, 'latin1').toString(), Buffer.from(value, 'latin1'));
    } catch (error) {
      // The file system, or this kind of file, has none.
      if (!isErrno(error, 'EOPNOTSUPP', 'EPERM')) throw error;
    }
  }
  fchmod(fd, modeOf(meta, rules));
  setTimes(fd, meta.mtimeSeconds, meta.mtimeNanoseconds);
}

/** Of a link or node, known by its place only (`openNew`). */
export function applyMetaOfNew(fd: Fd, meta: Meta, rules: MetaRules, type: number): void {
  const { uid, gid } = ownerOf(meta, rules);
  fchownat(fd, '', uid, gid);
  if (type !== S_IFLNK) fchmodat(AT_FDCWD, `/proc/self/fd/${fd.number}`, modeOf(meta, rules));
  setTimes(fd, meta.mtimeSeconds, meta.mtimeNanoseconds);
}

/** The place of what was just made. Errors: `failed-precondition` when somebody has put something else there. */
export function openNew(parent: Fd, name: Buffer, type: number): Fd {
  const fd = openat2(parent, name, { flags: O_PATH | O_NOFOLLOW });
  const { mode, links } = fstat(fd);
  if ((mode & S_IFMT) === type && links === 1) return fd;
  fd.close();
  throw new TareError('failed-precondition', `Cannot write ${JSON.stringify(name.toString())}: somebody replaced it`);
}

/** Access and modification time. */
export function setTimes(fd: Fd, seconds: number, nanoseconds: number): void {
  const ns = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
  utimensat(fd, '', ns, ns);
}

function ownerOf(meta: Meta, { owner, ids }: MetaRules): Owner {
  return changedOwner(owner ?? meta, ids);
}

export function changedOwner({ uid, gid }: Owner, ids: IdChange | undefined): Owner {
  return ids === undefined ? { uid, gid } : { uid: ids.uid(uid), gid: ids.gid(gid) };
}

function modeOf(meta: Meta, { owner }: MetaRules): number {
  return meta.mode & (owner === undefined ? 0o7777 : 0o1777);
}
