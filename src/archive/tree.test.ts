/** Trees as archives and back, where others change them meanwhile. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { buffer } from 'node:stream/consumers';
import { isKind, TareError } from '../base/errors.ts';
import type { OverlayMount } from '../spec/mount.ts';
import { mountDetached } from '../sys/mount-detached.ts';
import { mountFuseOverlay } from '../sys/mount-fuse.ts';
import { needs } from '../../test/support/needs.ts';
import { openDirectory, openPath, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS } from '../sys/open.ts';
import { memoryDir } from './_attack.suite.ts';
import { canary, hostileLayers, xattr } from './_hostile.suite.ts';
import { makeTar } from './_tar.suite.ts';
import { assertTree, randomTree, unpackInto } from './_trees.suite.ts';
import { type ExtractOptions, TreeExtractor } from './tree-extract.ts';
import { treeTar, type TreeTarOptions } from './tree-tar.ts';

const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);
const skip = process.getuid?.() !== 0 && 'needs root: owners, device nodes, mounts';

function scratch(t: TestContext): string {
  const dir = memoryDir('tree');
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function packed(dir: string, name = '', options: TreeTarOptions = {}): Promise<Buffer> {
  using tree = openPath(dir);
  return await buffer(treeTar(tree, name, options));
}

const strict = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;

function extract(
  dir: string,
  tar: Uint8Array,
  options: ExtractOptions = {},
  resolve = strict,
  base = '',
): readonly string[] {
  using root = openDirectory(dir);
  using extractor = new TreeExtractor({ root, base, resolve }, options);
  for (let at = 0; at < tar.length; at += 2 ** 20) extractor.write(tar.subarray(at, at + 2 ** 20));
  extractor.finish();
  return extractor.skipped;
}

test(
  'treeTar and TreeExtractor: random trees come back the same, and their tars byte for byte',
  { skip },
  async (t) => {
    for (let i = 0; i < 15; i++) {
      const what = `TARE_SEED=${seed + i}`;
      const dir = scratch(t);
      const [a, b] = [join(dir, 'a'), join(dir, 'b')];
      mkdirSync(a);
      mkdirSync(b);
      const tree = randomTree(seed + i);
      await unpackInto(a, tree.tar, 65_536);
      const tar = await packed(a);
      extract(b, tar);
      assertTree(b, tree, what);
      assert.ok((await packed(b)).equals(tar), what);
      // Once more over itself: what is there is replaced.
      extract(b, tar);
      assertTree(b, tree, `${what}, again`);
    }
  },
);

test('TreeExtractor: without O_TMPFILE the same comes out, and no other name stays', { skip }, async (t) => {
  for (let i = 0; i < 5; i++) {
    const dir = scratch(t);
    const [a, b] = [join(dir, 'a'), join(dir, 'b')];
    mkdirSync(a);
    mkdirSync(b);
    const tree = randomTree(seed + i);
    await unpackInto(a, tree.tar, 65_536);
    const tar = await packed(a);
    for (const round of ['new', 'again']) {
      extract(b, tar, { nameless: false });
      assertTree(b, tree, `TARE_SEED=${seed + i} ${round}`);
    }
  }
  const dir = scratch(t);
  mkdirSync(join(dir, 'd'));
  const file = (path: string): Buffer => makeTar([{ path, kind: 'file', content: 'x'.repeat(5000) }]);
  assert.throws(() => extract(dir, file('d'), { nameless: false }), /a directory is in its place/);
  assert.throws(() => extract(dir, file('cut').subarray(0, 2000), { nameless: false }), /middle of an entry/);
  assert.deepEqual(readdirSync(dir), ['d']);
});

test('treeTar: GNU tar reads what it writes', { skip }, async (t) => {
  const dir = scratch(t);
  mkdirSync(join(dir, 'in/sub'), { recursive: true });
  writeFileSync(join(dir, 'in/sub/big'), Buffer.alloc(3_000_000, 'x'));
  writeFileSync(join(dir, 'in/b'), 'b');
  linkSync(join(dir, 'in/b'), join(dir, 'in/a'));
  symlinkSync('sub/big', join(dir, 'in/link'));
  const listed = spawnSync('tar', ['-tf', '-'], { input: await packed(join(dir, 'in'), 'x'), encoding: 'utf8' });
  assert.equal(listed.stdout, 'x/\nx/a\nx/b\nx/link\nx/sub/\nx/sub/big\n');
  assert.equal(listed.stderr, '');
  const dotted = spawnSync('tar', ['-tf', '-'], { input: await packed(join(dir, 'in'), '.'), encoding: 'utf8' });
  assert.match(dotted.stdout, /^\.\/\n\.\/a\n/);
  const alone = spawnSync('tar', ['-tf', '-'], { input: await packed(join(dir, 'in/link'), 'l'), encoding: 'utf8' });
  assert.equal(alone.stdout, 'l\n', 'a link is itself');
});

test('treeTar: what is left out is left out with all beneath it; cancelling ends it', { skip }, async (t) => {
  const dir = scratch(t);
  mkdirSync(join(dir, 'keep'));
  mkdirSync(join(dir, 'not/here'), { recursive: true });
  const tar = await packed(dir, '', { keep: (path) => path !== 'not' });
  assert.equal(spawnSync('tar', ['-t'], { input: tar, encoding: 'utf8' }).stdout, 'keep/\n');
  writeFileSync(join(dir, 'large'), Buffer.alloc(4_000_000));
  await assert.rejects(packed(dir, '', { signal: AbortSignal.abort() }), (error) => isKind(error, 'cancelled'));
});

/** Of an overlay: what it does with its layers, and what a writable layer is then. */
const overlays = {
  kernel: { mount: async (mount: OverlayMount) => mountDetached(mount), form: 'layer', whiteouts: 'marks' },
  'fuse-overlayfs': {
    mount: (mount: OverlayMount) => mountFuseOverlay(mount, '/usr/bin/fuse-overlayfs'),
    form: 'fuse-layer',
    whiteouts: 'files',
  },
} as const;

for (const [whose, { mount: mountOverlay, form, whiteouts }] of Object.entries(overlays)) {
  const without = skip || (form === 'fuse-layer' && needs.program('fuse-overlayfs'));
  test(
    `treeTar: the layer of an overlay of ${whose}, unpacked, makes the same root file system`,
    { skip: without },
    async (t) => {
      const dir = scratch(t);
      const at = (...parts: string[]): string => join(dir, ...parts);
      for (const name of [
        'lower/gone/deep',
        'lower/replaced/old',
        'lower/kept',
        'lower/file-to-dir-not',
        'upper',
        'work',
        'layer',
        'upper2',
        'work2',
      ])
        mkdirSync(at(name), { recursive: true });
      for (const name of ['gone/deep/a', 'replaced/old/b', 'kept/c', 'kept/d', 'becomes-dir'])
        writeFileSync(at('lower', name), name);
      using mount = await mountOverlay({
        kind: 'overlay',
        lowers: [at('lower')],
        upper: at('upper'),
        work: at('work'),
        options: [],
      });
      const script = `
    rm -r gone kept/c; rm -r replaced; mkdir replaced; echo new >replaced/new
    rm becomes-dir; mkdir becomes-dir; echo in >becomes-dir/in
    echo more >>kept/d; ln kept/d kept/d2; mknod pipe p; mknod null c 1 3; ln -s /etc/passwd link
    chown 7:8 kept; chmod 4755 kept/d; setfattr -n user.x -v y kept 2>/dev/null || true`;
      // Root in the mount: by its descriptor.
      assert.equal(spawnSync('sh', ['-ec', script], { cwd: `/proc/${process.pid}/fd/${mount.number}` }).status, 0);
      const merged = await buffer(treeTar(mount, ''));
      const layer = await packed(at('upper'), '', { form });
      const names = spawnSync('tar', ['-t'], { input: layer, encoding: 'utf8' }).stdout;
      for (const name of ['.wh.gone\n', 'kept/.wh.c\n', 'replaced/.wh..wh..opq\n', 'becomes-dir/.wh..wh..opq\n'])
        assert.ok(names.includes(name), `${name} in ${names}`);
      await unpackInto(at('layer'), layer, 65_536, { whiteouts });
      using again = await mountOverlay({
        kind: 'overlay',
        lowers: [at('layer'), at('lower')],
        upper: at('upper2'),
        work: at('work2'),
        options: [],
      });
      assert.ok((await buffer(treeTar(again, ''))).equals(merged), 'the same tree');
      if (form === 'fuse-layer') {
        // No mark of its own is left, and the kernel makes the same of it.
        assert.doesNotMatch(names, /(?:^|\/)\.wh\.\.opq$|fuseoverlayfs/m);
        mkdirSync(at('marks'));
        await unpackInto(at('marks'), layer, 65_536);
        using marks = mountDetached({ kind: 'overlay', lowers: [at('marks'), at('lower')], options: [] });
        assert.ok((await buffer(treeTar(marks, ''))).equals(merged), 'the same tree by the kernel');
        return;
      }
      writeFileSync(at('upper/.wh.odd'), '');
      await assert.rejects(packed(at('upper'), '', { form }), (error) => isKind(error, 'unsupported'));
    },
  );
}

test('TreeExtractor: no hostile archive reaches outside the directory', { skip }, (t) => {
  const outside = scratch(t);
  const check = canary(join(outside, 'outside'));
  for (const [what, { tar, big }] of Object.entries(hostileLayers(join(outside, 'outside')))) {
    if (big === true) continue;
    for (const resolve of [strict, RESOLVE_IN_ROOT]) {
      const dir = scratch(t);
      mkdirSync(join(dir, 'inside'));
      try {
        extract(join(dir, 'inside'), tar(), { overwrite: true }, resolve);
      } catch (error) {
        assert.ok(error instanceof TareError, `${what}: ${String(error)}`);
        assert.match(error.message, /^Cannot /);
      }
      rmSync(dir, { recursive: true, force: true });
    }
    check();
  }
});

test('TreeExtractor: links that are there are followed only where they are the user’s own', { skip }, (t) => {
  const dir = scratch(t);
  mkdirSync(join(dir, 'usr/lib'), { recursive: true });
  mkdirSync(join(dir, 'opt'));
  symlinkSync('usr/lib', join(dir, 'lib'));
  symlinkSync('/usr', join(dir, 'opt/root'));
  const tar = makeTar([
    { path: 'lib/x', kind: 'file', content: 'x' },
    { path: 'opt/root/lib/y', kind: 'file', content: 'y' },
  ]);
  extract(dir, tar, {}, RESOLVE_IN_ROOT);
  assert.deepEqual(readdirSync(join(dir, 'usr/lib')).sort(), ['x', 'y']);
  assert.throws(() => extract(dir, tar), /lib.*(?:ELOOP|symbolic)/);
  const below = makeTar([{ path: 'root/lib/z', kind: 'file', content: 'z' }]);
  extract(dir, below, {}, RESOLVE_IN_ROOT, 'opt');
  assert.ok(existsSync(join(dir, 'usr/lib/z')), 'an absolute link starts at the root');
});

test('TreeExtractor: a file takes the place of a file or link, never of a directory, unless told so', { skip }, (t) => {
  const dir = scratch(t);
  const at = (name: string): string => join(dir, name);
  writeFileSync(at('victim'), 'untouched');
  symlinkSync('victim', at('link'));
  linkSync(at('victim'), at('hard'));
  const file = (path: string): Buffer => makeTar([{ path, kind: 'file', content: 'new', mode: 0o600 }]);
  for (const name of ['link', 'hard']) extract(dir, file(name));
  assert.equal(readFileSync(at('victim'), 'utf8'), 'untouched', 'written through');
  assert.deepEqual(
    ['link', 'hard'].map((name) => [lstatSync(at(name)).isFile(), readFileSync(at(name), 'utf8')]),
    [
      [true, 'new'],
      [true, 'new'],
    ],
  );
  mkdirSync(at('dir/sub'), { recursive: true });
  assert.throws(() => extract(dir, file('dir')), /Cannot write file "dir": a directory is in its place/);
  assert.throws(
    () => extract(dir, makeTar([{ path: 'link/', kind: 'dir' }])),
    /Cannot write directory "link": a file is in its place/,
  );
  extract(dir, file('dir'), { overwrite: true });
  extract(dir, makeTar([{ path: 'link/', kind: 'dir' }]), { overwrite: true });
  assert.deepEqual([lstatSync(at('dir')).isFile(), lstatSync(at('link')).isDirectory()], [true, true]);
});

test('TreeExtractor: a given owner takes all, without set-id bits, capabilities and devices', { skip }, (t) => {
  const dir = scratch(t);
  mkdirSync(join(dir, 'there'), { mode: 0o711 });
  const tar = makeTar([
    {
      path: 'su',
      kind: 'file',
      mode: 0o6755,
      uid: 0,
      gid: 0,
      content: 'su',
      xattrs: [
        ['user.a', 'b'],
        ['security.capability', '\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00'],
      ],
    },
    { path: 'disk', kind: 'block', mode: 0o666, major: 8, minor: 0 },
    { path: 'there/', kind: 'dir', mode: 0o777, uid: 3, gid: 3 },
    { path: 'new/', kind: 'dir', mode: 0o2777, uid: 3, gid: 3 },
    { path: 'l', kind: 'symlink', linkPath: 'x', uid: 9, gid: 9 },
  ]);
  const skipped = extract(dir, tar, { owner: { uid: 12, gid: 34 }, devices: false, xattrs: 'user' });
  assert.deepEqual(skipped, ['disk']);
  const about = (name: string): unknown[] => {
    const { mode, uid, gid } = lstatSync(join(dir, name));
    return [(mode & 0o7777).toString(8), uid, gid];
  };
  assert.deepEqual(about('su'), ['755', 12, 34]);
  assert.deepEqual([xattr(join(dir, 'su'), 'user.a'), xattr(join(dir, 'su'), 'security.capability')], ['b', '']);
  assert.deepEqual(about('there'), ['711', 0, 0], 'what is there stays as it is');
  assert.deepEqual(about('new'), ['777', 12, 34]);
  assert.deepEqual(about('l').slice(1), [12, 34]);
  assert.ok(!existsSync(join(dir, 'disk')));
});

test('TreeExtractor: the place itself gets what the archive says of its root only when asked to', { skip }, (t) => {
  const dir = scratch(t);
  const tar = makeTar([
    { path: './', kind: 'dir', mode: 0o1750, uid: 70, gid: 71 },
    { path: './last', kind: 'file', content: 'x', mode: 0o600, uid: 1 },
  ]);
  const before = statSync(dir);
  extract(dir, tar);
  assert.deepEqual([statSync(dir).mode, statSync(dir).uid], [before.mode, before.uid]);
  extract(dir, tar, { root: true });
  const { mode, uid, gid } = statSync(dir);
  assert.deepEqual([mode & 0o7777, uid, gid], [0o1750, 70, 71]);
});

test('TreeExtractor: holes stay holes', { skip }, async (t) => {
  const dir = scratch(t);
  mkdirSync(join(dir, 'a'));
  mkdirSync(join(dir, 'b'));
  writeFileSync(join(dir, 'a/sparse'), 'begin');
  truncateSync(join(dir, 'a/sparse'), 64 * 2 ** 20);
  extract(join(dir, 'b'), await packed(join(dir, 'a')));
  const { size, blocks } = statSync(join(dir, 'b/sparse'));
  assert.equal(size, 64 * 2 ** 20);
  assert.ok(blocks * 512 < 4 * 2 ** 20, `${blocks} blocks`);
  assert.equal(readFileSync(join(dir, 'b/sparse')).toString('latin1', 0, 5), 'begin');
});

test(
  'treeTar and TreeExtractor: a racer that swaps directories for links leads neither out of the tree',
  { skip },
  async (t) => {
    const dir = scratch(t);
    const check = canary(join(dir, 'outside'));
    const at = (...parts: string[]): string => join(dir, 'box', ...parts);
    mkdirSync(at('d/sub'), { recursive: true });
    writeFileSync(at('d/sub/inner'), 'inner');
    const racer = spawn(
      process.execPath,
      [
        '-e',
        `const fs = require('fs'); process.chdir(process.argv[1]);
       fs.symlinkSync(process.argv[2], 'l'); process.stdout.write('on');
       for (;;) for (const [a, b] of [['d', 'x'], ['l', 'd'], ['d', 'l'], ['x', 'd']]) try { fs.renameSync(a, b) } catch {}`,
        at(),
        join(dir, 'outside'),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    t.after(() => racer.kill('SIGKILL'));
    await new Promise((resolve) => racer.stdout.once('data', resolve));
    const incoming = makeTar([
      { path: 'd/', kind: 'dir', mode: 0o777 },
      { path: 'd/secret', kind: 'file', content: 'overwritten' },
      { path: 'd/sub/', kind: 'dir', mode: 0o777 },
      { path: 'd/sub/new', kind: 'file', content: 'new' },
      { path: 'd/sub/link', kind: 'symlink', linkPath: 'x' },
      { path: 'd/hard', kind: 'link', linkPath: 'd/secret' },
      { path: 'd/fifo', kind: 'fifo', mode: 0o777 },
    ]);
    let written = 0;
    for (let round = 0; round < 300; round++) {
      const read = (await packed(at(), 'box')).toString('latin1');
      assert.ok(!read.includes('keep too') && !read.includes('keep\n'), 'read outside');
      for (const resolve of [strict, RESOLVE_IN_ROOT]) {
        try {
          extract(at(), incoming, { overwrite: true }, resolve);
          written++;
        } catch (error) {
          assert.ok(error instanceof TareError, String(error));
        }
      }
    }
    assert.ok(written > 0, 'the racer won every time');
    racer.kill('SIGKILL');
    check();
  },
);
