import {
  closeSync,
  fchmodSync,
  fdatasyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { ifPresent } from '../base/if-present.ts';
import { RENAME_EXCHANGE, renameat2 } from '../sys/at.ts';
import { AT_FDCWD } from '../sys/open.ts';

/** Node's error for a failed call, with its errno's name. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Turns errors of node:fs into ours: `exhausted` for a full disk, `denied` where writing is not allowed. */
export function storageError(doing: string, error: unknown): unknown {
  if (error instanceof TareError) return error;
  const code = codeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new TareError('exhausted', `Cannot ${doing}: the disk is full`, { cause: error });
  if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM')
    return new TareError('denied', `Cannot ${doing}: writing is not allowed (${code})`, { cause: error });
  return error;
}

/** Writes all of `bytes` at the current position. */
function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
}

/** Creates a file that is not there yet, 0600 unless `mode`. With `sync` it is on the disk on return. */
export function createFile(
  path: string,
  content: string | Uint8Array,
  options: { sync?: boolean; mode?: number; flags?: 'wx' | 'w' } = {},
): void {
  const mode = options.mode ?? 0o600;
  const fd = openSync(path, options.flags ?? 'wx', mode);
  try {
    writeAll(fd, typeof content === 'string' ? Buffer.from(content) : content);
    if (mode !== 0o600) fchmodSync(fd, mode);
    if (options.sync === true) fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * What a replaced file can count on when the machine crashes: `data` the new contents are on the disk before the rename; `ordered` the old or the new contents
 * are there, and not an empty file; `none` nothing.
 */
export type Sync = 'data' | 'ordered' | 'none';

/**
 * Replaces a file by one rename, 0600. The caller holds the lock that guards the file: so the temporary file has one name, and a kill leaves at most that, for
 * the next writer.
 */
export function replaceFile(path: string, content: string | Uint8Array, sync: Sync): void {
  const temp = tempPath(path);
  try {
    createFile(temp, content, {
      sync: sync === 'data' || (sync === 'ordered' && !ordersRenames(dirname(path))),
      flags: 'w',
    });
    if (sync === 'none') exchange(temp, path);
    else renameSync(temp, path);
  } catch (error) {
    ifPresent(() => unlinkSync(temp));
    throw error;
  }
}

/**
 * Replaces `path` by `temp` as atomically as a rename, which makes ext4 begin to write the new contents at once (auto_da_alloc): 0.2 ms and a disk write for what
 * may be lost anyway.
 */
function exchange(temp: string, path: string): void {
  try {
    renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_EXCHANGE);
  } catch {
    // There is none yet, or this file system cannot: what is wrong otherwise, this says as well.
    renameSync(temp, path);
    return;
  }
  unlinkSync(temp);
}

/** Where `replaceFile` puts the new contents first. */
export function tempPath(path: string): string {
  return join(dirname(path), `.tmp-tare-${basename(path)}`);
}

/** File systems that write a file's contents before the rename that puts it in another's place: ext4 (auto_da_alloc, the default), btrfs, and tmpfs, which survives no crash. */
const ORDERING: ReadonlySet<number> = new Set([0xef53, 0x9123683e, 0x01021994]);

function ordersRenames(dir: string): boolean {
  return ORDERING.has(statfsSync(dir).type >>> 0);
}

/** Reads a file of at most `maxBytes`; undefined when there is none. Errors: `exhausted` when it is larger. */
export function readCapped(path: string, maxBytes: number): Buffer | undefined {
  const size = statSync(path, { throwIfNoEntry: false })?.size;
  if (size === undefined) return undefined;
  return ifPresent(() => {
    if (size > maxBytes) throw new TareError('exhausted', `Cannot read ${path}: ${size} bytes, at most ${maxBytes}`);
    return readFileSync(path);
  });
}
