import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempDisposableSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'node:test';
import { mkdirat, RENAME_NOREPLACE, renameat2 } from './at.ts';
import { fsconfigCreate, fsmount, fsopen, MNT_DETACH, moveMount, umount } from './mount.ts';
import { openDirectory, AT_FDCWD } from './open.ts';
import { removeTree, removeTreeSync } from './remove-tree.ts';

const asRoot = process.geteuid?.() === 0 ? {} : { skip: 'needs root' };
const openFds = (): number => readdirSync('/proc/self/fd').length;

test('removeTree deletes a file, a link, an empty directory, and what is not there', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-remove-');
  const path = `${temp.path}/it`;
  await removeTree(path);
  writeFileSync(path, '');
  await removeTree(path);
  mkdirSync(path);
  await removeTree(path);
  mkdirSync(`${temp.path}/kept`);
  symlinkSync('kept', path);
  await removeTree(path);
  assert.deepEqual(readdirSync(temp.path), ['kept']);
});

test('removeTree follows no link out of the tree', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-remove-');
  mkdirSync(`${temp.path}/outside`);
  writeFileSync(`${temp.path}/outside/file`, 'kept');
  mkdirSync(`${temp.path}/it/sub`, { recursive: true });
  symlinkSync('../../outside', `${temp.path}/it/sub/link`);
  symlinkSync('../outside/file', `${temp.path}/it/file`);
  removeTreeSync(`${temp.path}/it`);
  assert.equal(readFileSync(`${temp.path}/outside/file`, 'utf8'), 'kept');
  assert.deepEqual(readdirSync(temp.path), ['outside']);
});

test('removeTree takes names that are no text, many entries, and trees deeper than a path is long', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-remove-');
  const path = `${temp.path}/it`;
  mkdirSync(path);
  using dir = openDirectory(path);
  mkdirat(dir, Buffer.from([0xff, 0xfe]), 0o700);
  for (let i = 0; i < 3000; i++) writeFileSync(`${path}/${i}`, '');
  // Built from the bottom up: each level takes in the one before.
  mkdirat(dir, 'deep', 0o700);
  for (let i = 0; i < 1500; i++) {
    mkdirat(dir, 'next', 0o700);
    renameat2(dir, 'deep', dir, 'next/a-name-of-some-length', RENAME_NOREPLACE);
    renameat2(dir, 'next', dir, 'deep', RENAME_NOREPLACE);
  }
  const before = openFds();
  await removeTree(path);
  assert.equal(existsSync(path), false);
  assert.equal(openFds(), before);
});

test('removeTree several times at once', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-remove-');
  const path = `${temp.path}/it`;
  for (let i = 0; i < 40; i++) mkdirSync(`${path}/${i}/a/b/c`, { recursive: true });
  for (let i = 0; i < 2000; i++) writeFileSync(`${path}/${i % 40}/a/${i}`, '');
  await Promise.all(Array.from({ length: 4 }, () => removeTree(path)));
  assert.equal(existsSync(path), false);
});

test('removeTree does not touch what is mounted in the tree', asRoot, () => {
  using temp = mkdtempDisposableSync('/tmp/tare-remove-');
  const mounted = `${temp.path}/it/sub/mounted`;
  mkdirSync(mounted, { recursive: true });
  {
    using context = fsopen('tmpfs');
    fsconfigCreate(context);
    using mount = fsmount(context, 0);
    moveMount(mount, AT_FDCWD, mounted);
  }
  try {
    writeFileSync(`${mounted}/file`, 'kept');
    assert.throws(() => removeTreeSync(`${temp.path}/it`), { code: 'EBUSY' });
    assert.equal(readFileSync(`${mounted}/file`, 'utf8'), 'kept');
  } finally {
    umount(mounted, MNT_DETACH);
  }
  removeTreeSync(`${temp.path}/it`);
  assert.equal(existsSync(`${temp.path}/it`), false);
});
