import { TareError } from '../base/errors.ts';
import { fstatSync, readSync } from 'node:fs';
import type { Fd } from '../sys/fd.ts';
import { O_NOCTTY, O_NONBLOCK, O_RDONLY, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2 } from '../sys/open.ts';
import { isErrno } from '../sys/error.ts';

/** Numeric identity of a process. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** Home directory from passwd; "/" where there is none. */
  readonly home: string;
}

const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_ID = 0x7fffffff;

/**
 * Resolves `USER[:GROUP]` (names or numbers; "" is root) with the container's own passwd and group files, read beneath its rootfs and never on the host.
 *
 * Errors: not-found for an unknown name; invalid for an id outside 0..2^31-1 (CVE-2024-40635) or a passwd that is no regular file.
 */
export function resolveUser(rootfs: Fd, spec: string, groupAdd: readonly string[] = []): Identity {
  const colon = spec.indexOf(':');
  const userPart = colon < 0 ? spec : spec.slice(0, colon);
  const groupPart = colon < 0 ? '' : spec.slice(colon + 1);
  const passwd = records(rootfs, 'etc/passwd', 7);
  const group = records(rootfs, 'etc/group', 4);

  const wanted = userPart === '' ? '0' : userPart;
  const numeric = parseId(wanted, 'user');
  const entry = passwd.find((fields) => (numeric === undefined ? fields[0] === wanted : fields[2] === String(numeric)));
  if (numeric === undefined && entry === undefined) {
    throw new TareError('not-found', `Cannot run as user ${wanted}: the container's /etc/passwd has no such name`);
  }
  const uid = numeric ?? requiredId(entry?.[2], `uid of ${wanted} in the container's /etc/passwd`);
  const home = entry?.[5] !== undefined && entry[5].startsWith('/') ? entry[5] : '/';

  const groupId = (text: string): number => {
    const id = parseId(text, 'group');
    if (id !== undefined) return id;
    const found = group.find((fields) => fields[0] === text);
    if (found === undefined)
      throw new TareError('not-found', `Cannot use group ${text}: the container's /etc/group has no such name`);
    return requiredId(found[2], `gid of ${text} in the container's /etc/group`);
  };
  const gid =
    groupPart !== ''
      ? groupId(groupPart)
      : entry === undefined
        ? 0
        : requiredId(entry[3], `gid of ${wanted} in the container's /etc/passwd`);
  const name = entry?.[0];
  // Like docker: an explicit group replaces the user's own memberships.
  const memberships =
    groupPart !== '' || name === undefined
      ? []
      : group
          .filter((fields) => (fields[3] ?? '').split(',').includes(name))
          .map((fields) => requiredId(fields[2], `gid of ${fields[0] ?? '?'}`));
  // The group itself, too: else a file's denial to it could be shaken off with setgroups (CVE-2022-36109).
  const additionalGids = [...new Set([gid, ...memberships, ...groupAdd.map(groupId)])];
  return { uid, gid, additionalGids, home };
}

function parseId(text: string, what: string): number | undefined {
  if (!/^[0-9]+$/.test(text)) return undefined;
  const id = Number(text);
  if (id > MAX_ID) throw new TareError('invalid', `Cannot use ${what} id ${text}: ids go from 0 to ${MAX_ID}`);
  return id;
}

function requiredId(text: string | undefined, what: string): number {
  const id = text === undefined ? undefined : parseId(text, what);
  if (id === undefined) throw new TareError('invalid', `Cannot use ${what}: not a number`);
  return id;
}

/** Colon-separated lines of a small text file beneath the rootfs; no file, no lines. */
function records(rootfs: Fd, path: string, fields: number): string[][] {
  const text = readBeneath(rootfs, path);
  if (text === undefined) return [];
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .filter((parts) => parts.length >= Math.min(fields, 3) && parts[0] !== '');
}

/** Reads a regular file of at most 16 MiB beneath a root, following its symlinks inside the root only. Undefined when there is none. */
export function readBeneath(rootfs: Fd, path: string): string | undefined {
  let fd: Fd;
  try {
    fd = openat2(rootfs, path, {
      flags: O_RDONLY | O_NONBLOCK | O_NOCTTY,
      resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  using file = fd;
  const stat = fstatSync(file.number);
  if (!stat.isFile()) throw new TareError('invalid', `Cannot read the container's /${path}: not a regular file`);
  if (stat.size > MAX_FILE_BYTES)
    throw new TareError('invalid', `Cannot read the container's /${path}: larger than ${MAX_FILE_BYTES} bytes`);
  const buffer = Buffer.alloc(stat.size);
  const length = readSync(file.number, buffer, 0, buffer.length, 0);
  return buffer.toString('utf8', 0, length);
}
