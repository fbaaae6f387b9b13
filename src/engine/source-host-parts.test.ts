import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readlinkSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostParts } from './source-host-parts.ts';

test('hostParts: an overlay for each directory without mounts, links and empty places made, files and crowded directories bound', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tare-parts-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const tree = join(dir, 'tree');
  const skeleton = join(dir, 'skeleton');
  mkdirSync(skeleton);
  for (const path of ['usr/bin', 'proc', 'var/lib', 'var/disk', 'tmp/mnt'])
    mkdirSync(join(tree, path), { recursive: true });
  symlinkSync('usr/bin', join(tree, 'bin'));
  writeFileSync(join(tree, 'file'), '');
  for (let i = 0; i < 70; i++) writeFileSync(join(tree, 'tmp', String(i)), '');
  const at = (...names: string[]) => names.map((name) => join(tree, name)).sort();
  const mounts = new Set(at('proc', 'var/disk', 'tmp/mnt'));
  const parts = hostParts(tree, skeleton, mounts, (directory) => directory === join(tree, 'proc'));
  assert.deepEqual([...parts.overlays].sort(), at('usr', 'var/lib', 'var/disk'));
  assert.deepEqual([...parts.binds].sort(), at('file', 'tmp'));
  assert.equal(readlinkSync(join(skeleton, 'bin')), 'usr/bin');
  assert.deepEqual(readdirSync(skeleton).sort(), ['bin', 'proc', 'tmp', 'usr', 'var']);
  assert.deepEqual(readdirSync(join(skeleton, 'var')).sort(), ['disk', 'lib']);
});
