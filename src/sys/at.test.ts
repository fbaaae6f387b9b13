import assert from 'node:assert/strict';
import { lstatSync, mkdtempDisposableSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  fchmod,
  fchmodat,
  fchownat,
  linkat,
  makedev,
  mkdirat,
  mknodat,
  readlinkat,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  renameat2,
  rmdirat,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
  symlinkat,
  unlinkat,
  utimensat,
} from './at.ts';
import { openDirectory, openPath } from './open.ts';
import {
  EXT4_SUPER_MAGIC,
  fstat,
  PROC_SUPER_MAGIC,
  statfs,
  statx,
  syncfs,
  syncfsSync,
  AT_SYMLINK_NOFOLLOW,
} from './stat.ts';
import { getXattr, listXattrs, removeXattr, setXattr, XATTR_CREATE } from './xattr.ts';

const asRoot = process.geteuid?.() === 0 ? {} : { skip: 'needs root' };

test('the *at calls make, link, rename, read and remove names below a directory descriptor', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-at-');
  using dir = openDirectory(temp.path);
  mkdirat(dir, 'd', 0o700);
  assert.throws(() => mkdirat(dir, 'd', 0o700), { kind: 'already-exists', path: 'd' });
  symlinkat('some/where', dir, 'l');
  assert.equal(readlinkat(dir, 'l').toString(), 'some/where');
  assert.equal(readlinkSync(`${temp.path}/l`), 'some/where');
  writeFileSync(`${temp.path}/a`, 'A');
  writeFileSync(`${temp.path}/b`, 'B');
  linkat(dir, 'a', dir, 'a2');
  assert.equal(statx(dir, 'a').links, 2);
  assert.throws(() => renameat2(dir, 'a', dir, 'b', RENAME_NOREPLACE), { kind: 'already-exists' });
  renameat2(dir, 'a', dir, 'b', RENAME_EXCHANGE);
  assert.equal(readFileSync(`${temp.path}/a`, 'utf8'), 'B');
  renameat2(dir, 'a', dir, 'd/moved');
  assert.throws(() => rmdirat(dir, 'd'), { code: 'ENOTEMPTY' });
  unlinkat(dir, 'd/moved');
  rmdirat(dir, 'd');
  assert.throws(() => unlinkat(dir, 'd'), { kind: 'not-found' });
});

test('mknodat makes pipes and, as root, devices with large numbers', asRoot, () => {
  using temp = mkdtempDisposableSync('/tmp/tare-at-');
  using dir = openDirectory(temp.path);
  mknodat(dir, 'pipe', S_IFIFO | 0o600);
  assert.equal(statx(dir, 'pipe').mode & S_IFMT, S_IFIFO);
  mknodat(dir, 'device', S_IFCHR | 0o600, { major: 259, minor: 70_000 });
  const stat = statx(dir, 'device');
  assert.deepEqual([stat.mode & S_IFMT, stat.rdevMajor, stat.rdevMinor], [S_IFCHR, 259, 70_000]);
  assert.equal(makedev(1, 3), 0x103);
});

test('fchownat and utimensat change a symlink itself, and the directory for ""', asRoot, () => {
  using temp = mkdtempDisposableSync('/tmp/tare-at-');
  using dir = openDirectory(temp.path);
  writeFileSync(`${temp.path}/file`, '');
  symlinkat('file', dir, 'link');
  fchownat(dir, 'link', 1234, 5678);
  utimensat(dir, 'link', 1_000_000_001n, -1n);
  const link = statx(dir, 'link', AT_SYMLINK_NOFOLLOW);
  assert.deepEqual([link.uid, link.gid, link.atimeNs, link.mtimeNs], [1234, 5678, 1_000_000_001n, -1n]);
  assert.equal(statx(dir, 'file').uid, 0);
  fchownat(dir, '', -1, 77);
  utimensat(dir, '', 5n, 123_456_789_012_345_678n);
  const self = fstat(dir);
  assert.deepEqual([self.uid, self.gid, self.mtimeNs], [0, 77, 123_456_789_012_345_678n]);
});

test('fchmod and fchmodat set permission bits, set-id ones included', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-at-');
  using dir = openDirectory(temp.path);
  writeFileSync(`${temp.path}/file`, '');
  fchmodat(dir, 'file', 0o4711);
  fchmod(dir, 0o1750);
  assert.equal(lstatSync(`${temp.path}/file`).mode & 0o7777, 0o4711);
  assert.equal(fstat(dir).mode & 0o7777, 0o1750);
});

test('statx agrees with Node and tells the mount', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-at-');
  const mine = statx(-100, temp.path);
  const theirs = lstatSync(temp.path, { bigint: true });
  assert.deepEqual(
    [mine.inode, mine.mtimeNs, BigInt(mine.mode), mine.ctimeNs],
    [theirs.ino, theirs.mtimeNs, theirs.mode, theirs.ctimeNs],
  );
  assert.ok(mine.mountId > 0n);
  assert.equal(mine.isMountRoot, false);
  assert.equal(statx(-100, '/proc').isMountRoot, true);
  using proc = openPath('/proc');
  assert.equal(fstat(proc).mountId, statx(-100, '/proc').mountId);
});

test('statfs names the file system and its space', () => {
  using proc = openPath('/proc');
  assert.equal(statfs(proc).type, PROC_SUPER_MAGIC);
  using temp = mkdtempDisposableSync('/tmp/tare-at-');
  using dir = openDirectory(temp.path);
  const fs = statfs(dir);
  assert.notEqual(fs.type, PROC_SUPER_MAGIC);
  assert.ok(
    EXT4_SUPER_MAGIC > 0 && fs.freeBytes > 0 && fs.sizeBytes >= fs.freeBytes && fs.freeBytes >= fs.availableBytes,
  );
});

test('syncfs works on a pool thread and fails with a SysError', async () => {
  using dir = openDirectory('/proc');
  await syncfs(dir);
  syncfsSync(dir);
  await assert.rejects(syncfs(-1), { code: 'EBADF', syscall: 'syncfs' });
});

test('xattrs by descriptor and by name below a directory, not following symlinks', asRoot, () => {
  using temp = mkdtempDisposableSync('/tmp/tare-at-');
  using dir = openDirectory(temp.path);
  writeFileSync(`${temp.path}/file`, '');
  symlinkat('file', dir, 'link');
  using file = openDirectory(temp.path);
  const raw = Buffer.from([0, 255, 1]);
  setXattr({ dir, name: 'file' }, 'user.tare', raw);
  assert.deepEqual(getXattr({ dir, name: 'file' }, 'user.tare'), raw);
  assert.equal(getXattr({ dir, name: 'file' }, 'user.other'), undefined);
  setXattr({ dir, name: 'link' }, 'trusted.tare', Buffer.from('link'));
  assert.equal(getXattr({ dir, name: 'file' }, 'trusted.tare'), undefined);
  assert.deepEqual(listXattrs({ dir, name: 'link' }), ['trusted.tare']);
  const large = Buffer.alloc(3000, 7);
  setXattr(file, 'user.large', large);
  assert.deepEqual(getXattr(file, 'user.large'), large);
  assert.throws(() => setXattr(file, 'user.large', raw, XATTR_CREATE), { kind: 'already-exists' });
  removeXattr(file, 'user.large');
  assert.throws(() => removeXattr(file, 'user.large'), { kind: 'not-found' });
  assert.deepEqual(listXattrs(file), []);
  assert.throws(() => getXattr({ dir, name: '../x' }, 'user.tare'), { kind: 'invalid' });
});
