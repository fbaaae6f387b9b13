import assert from 'node:assert/strict';
import { mkdirSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mknodat, S_IFCHR } from '../sys/at.ts';
import { openDirectory } from '../sys/open.ts';
import { setXattr } from '../sys/xattr.ts';
import { LayerDir, LowerDirs } from './lower-dirs.ts';

const skip = process.getuid?.() === 0 ? false : 'needs root: whiteouts';

/** Files below a directory, by path; directories end in `/`. */
function fill(dir: string, paths: readonly string[]): string {
  mkdirSync(dir);
  for (const path of paths) {
    if (path.endsWith('/')) mkdirSync(join(dir, path), { recursive: true });
    else writeFileSync(join(dir, path), '');
  }
  return dir;
}

function lowersOf(dirs: readonly string[], fuse: boolean): LowerDirs {
  return new LowerDirs(dirs.map((dir) => new LayerDir(openDirectory(dir), fuse)));
}

test('LowerDirs: what layers have together; whiteouts and opaque directories hide, of overlayfs', { skip }, () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lowers-');
  const far = fill(join(temp.path, 'far'), ['a/', 'a/old', 'b/', 'b/old', 'c', 'd/', 'd/old']);
  const near = fill(join(temp.path, 'near'), ['a/', 'a/new', 'b/', 'b/new', 'd']);
  using nearDir = openDirectory(near);
  mknodat(nearDir, 'c', S_IFCHR);
  using opaque = openDirectory(join(near, 'b'));
  setXattr(opaque, 'trusted.overlay.opaque', Buffer.from('y'));
  using lowers = lowersOf([near, far], false);
  assert.deepEqual(lowers.names().sort(), ['a', 'b', 'd']);
  using a = lowers.open('a');
  assert.deepEqual(a.names().sort(), ['new', 'old']);
  using b = lowers.open('b');
  assert.deepEqual(b.names(), ['new']);
  assert.equal(b.stat('old'), undefined);
  // A file in the place of a directory.
  using d = lowers.open('d');
  assert.deepEqual(d.names(), []);
  assert.equal(lowers.stat('c'), undefined);
});

test('LowerDirs: the same by files of fuse-overlayfs, which are no names of the layer', { skip }, () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lowers-');
  const far = fill(join(temp.path, 'far'), ['a/', 'a/old', 'b/', 'b/old', 'c', 'd/', 'd/old']);
  const near = fill(join(temp.path, 'near'), ['a/', 'a/new', 'b/', 'b/new', 'b/.wh..wh..opq', '.wh.c', '.wh.d']);
  using lowers = lowersOf([near, far], true);
  assert.deepEqual(lowers.names().sort(), ['a', 'b']);
  using b = lowers.open('b');
  assert.deepEqual(b.names(), ['new']);
  using d = lowers.open('d');
  assert.deepEqual(d.names(), []);
  // To the kernel they are files like others.
  using plain = lowersOf([near, far], false);
  assert.ok(plain.names().includes('.wh.c'));
});
