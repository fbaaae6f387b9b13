import assert from 'node:assert/strict';
import { mkdtempDisposableSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { isErrno, SysError } from './error.ts';
import { duplicate, Fd } from './fd.ts';
import {
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  openat2,
  openDirectory,
  openPath,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
} from './open.ts';
import { fstat } from './stat.ts';
import { S_IFDIR, S_IFLNK, S_IFMT } from './at.ts';

const openFds = (): number => readdirSync('/proc/self/fd').length;

test('openat2 failing throws a SysError with syscall, errno, code, path and a kind', () => {
  assert.throws(
    () => openPath('/nonexistent/file'),
    (error) => {
      assert.ok(error instanceof SysError);
      assert.equal(error.message, 'Cannot openat2 /nonexistent/file: ENOENT (no such file or directory)');
      assert.deepEqual(
        [error.syscall, error.errno, error.code, error.path, error.kind],
        ['openat2', 2, 'ENOENT', '/nonexistent/file', 'not-found'],
      );
      return true;
    },
  );
});

test('SysError derives its kind from the errno and names errnos libuv does not know', () => {
  const kindOf = (errno: number): string => new SysError('x', errno).kind;
  assert.deepEqual([13, 1, 17, 38, 95, 28, 24, 12, 16, 22, 5].map(kindOf), [
    'denied',
    'denied',
    'already-exists',
    'unsupported',
    'unsupported',
    'exhausted',
    'exhausted',
    'exhausted',
    'failed-precondition',
    'invalid',
    'internal',
  ]);
  assert.equal(new SysError('x', 127).code, 'EKEYEXPIRED');
  assert.equal(new SysError('x', 4000).code, 'E4000');
  assert.ok(isErrno(new SysError('x', 2), 'EACCES', 'ENOENT'));
  assert.ok(!isErrno(new Error('ENOENT'), 'ENOENT'));
});

test('openat2 keeps RESOLVE_BENEATH inside and resolves RESOLVE_IN_ROOT against the directory', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-open-');
  using dir = openDirectory(temp.path);
  writeFileSync(`${temp.path}/passwd`, 'mine');
  symlinkSync('/passwd', `${temp.path}/absolute`);
  assert.throws(() => openat2(dir, '../etc/passwd', { flags: O_RDONLY, resolve: RESOLVE_BENEATH }), {
    code: 'EXDEV',
    kind: 'failed-precondition',
  });
  assert.throws(() => openat2(dir, 'absolute', { flags: O_RDONLY, resolve: RESOLVE_BENEATH }), { code: 'EXDEV' });
  assert.throws(() => openat2(dir, 'absolute', { flags: O_RDONLY, resolve: RESOLVE_NO_SYMLINKS }), { code: 'ELOOP' });
  using inRoot = openat2(dir, '../../absolute', { flags: O_RDONLY, resolve: RESOLVE_IN_ROOT });
  using direct = openPath('passwd', { dir });
  assert.equal(fstat(inRoot).inode, fstat(direct).inode);
});

test('openPath opens the symlink itself unless follow, and only directories with directory', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-open-');
  symlinkSync('.', `${temp.path}/link`);
  using link = openPath(`${temp.path}/link`);
  using target = openPath(`${temp.path}/link`, { follow: true });
  assert.equal(fstat(link).mode & S_IFMT, S_IFLNK);
  assert.equal(fstat(target).mode & S_IFMT, S_IFDIR);
  assert.throws(() => openPath(`${temp.path}/link`, { directory: true }), { code: 'ENOTDIR' });
});

test('openat2 takes names that are no UTF-8, and refuses NUL bytes and overlong paths', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-open-');
  using dir = openDirectory(temp.path);
  const name = Buffer.from([0xff, 0xfe, 0x41]);
  openat2(dir, name, { flags: O_RDWR | O_CREAT, mode: 0o600 }).close();
  const [found] = readdirSync(temp.path, { encoding: 'buffer' });
  assert.deepEqual(found, name);
  assert.throws(() => openat2(dir, 'a\0b', { flags: O_RDONLY }), { code: 'EINVAL' });
  assert.throws(() => openat2(dir, 'a/'.repeat(3000), { flags: O_RDONLY }), { code: 'ENAMETOOLONG', kind: 'invalid' });
  assert.throws(() => openat2(dir, 'ä/'.repeat(1366), { flags: O_RDONLY }), { code: 'ENAMETOOLONG' });
});

test('Fd closes once, on dispose, and is -1 afterwards', () => {
  const before = openFds();
  const fd = openPath('/');
  const number = fd.number;
  using second = duplicate(fd);
  assert.equal(openFds(), before + 2);
  fd.close();
  // The number is free again: another close of the same object must not hit its new owner.
  using reuse = openPath('/');
  assert.equal(reuse.number, number);
  fd.close();
  fd[Symbol.dispose]();
  assert.equal(fd.number, -1);
  assert.ok(fstat(reuse).inode > 0n);
  assert.throws(() => fstat(fd), { code: 'EBADF' });
  const released = second.release();
  Fd.adopt(released).close();
});

test('every descriptor is close-on-exec', () => {
  const { O_CLOEXEC } = { O_CLOEXEC: 0o2000000 };
  using fd = openDirectory('/');
  using copy = duplicate(fd);
  for (const { number } of [fd, copy]) {
    const flags = /flags:\s+(\d+)/.exec(readInfo(number))?.[1] ?? '0';
    assert.ok((Number.parseInt(flags, 8) & O_CLOEXEC) !== 0);
  }
});

function readInfo(number: number): string {
  return process.getBuiltinModule('node:fs').readFileSync(`/proc/self/fdinfo/${number}`, 'utf8');
}
