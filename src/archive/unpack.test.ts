import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  type Stats,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isKind } from '../base/errors.ts';
import { addon } from '../sys/addon.ts';
import { makeTar, randomizer } from './_tar.suite.ts';
import type { TarInput } from './tar-writer.ts';
import { joinTarSplit, readTarSplit } from './tar-split.ts';
import { LayerUnpacker, type Unpacked, type UnpackOptions } from './unpack.ts';

const root = process.getuid?.() === 0 ? {} : { skip: 'needs root: owners and device nodes' };

function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'tare-unpack-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function unpack(dir: string, tar: Uint8Array, options: UnpackOptions = {}, pieces = 65536): Promise<Unpacked> {
  const fd = openSync(dir, 'r');
  try {
    await using unpacker = new LayerUnpacker(fd, options);
    for (let at = 0; at < tar.length; at += pieces) await unpacker.write(tar.subarray(at, at + pieces));
    return await unpacker.finish();
  } finally {
    closeSync(fd);
  }
}

function xattr(path: string, name: string): string {
  const value = Buffer.alloc(256);
  return value.toString('latin1', 0, Math.max(0, addon().lgetxattr(path, name, value)));
}

test('LayerUnpacker: writes every kind of entry with owner, mode, time and attributes', root, async (t) => {
  const dir = scratch(t);
  const when = { mtimeSeconds: 1_000_000_000, mtimeNanoseconds: 123_456_789 };
  const capability = '\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00';
  const result = await unpack(
    dir,
    makeTar([
      { path: './', kind: 'dir', mode: 0o751, uid: 3, gid: 4, ...when },
      { path: 'bin/', kind: 'dir', mode: 0o755, ...when },
      { path: 'bin/su', kind: 'file', mode: 0o4755, uid: 7, gid: 8, content: 'set-id', ...when },
      {
        path: 'bin/ping',
        kind: 'file',
        mode: 0o755,
        content: 'cap',
        xattrs: [
          ['security.capability', capability],
          ['trusted.overlay.redirect', '/etc'],
          ['security.selinux', 'x'],
        ],
      },
      { path: 'bin/link', kind: 'link', linkPath: './bin/../bin/su', mode: 0o4755, uid: 7, gid: 8, ...when },
      { path: 'bin/sh', kind: 'symlink', linkPath: '/bin/su', uid: 9, ...when },
      { path: 'dev/null', kind: 'char', major: 1, minor: 3, mode: 0o666 },
      { path: 'run/fifo', kind: 'fifo', mode: 0o620 },
      { path: 'na\xff\xc3\xa9', kind: 'file', content: '' },
    ]),
  );
  assert.deepEqual(result.uids, [0, 3, 7, 9]);
  assert.deepEqual(result.gids, [0, 4, 8]);
  assert.equal(result.hasRoot, true);
  const at = (path: string): Stats => lstatSync(join(dir, path));
  assert.equal(at('.').mode & 0o7777, 0o751);
  assert.equal(at('.').uid, 3);
  assert.equal(at('.').mtime.toISOString(), '2001-09-09T01:46:40.123Z');
  assert.equal(at('bin').mtime.toISOString(), '2001-09-09T01:46:40.123Z');
  assert.equal(lstatSync(join(dir, 'bin/su'), { bigint: true }).mtimeNs, 1_000_000_000_123_456_789n);
  assert.equal(at('bin/su').mode & 0o7777, 0o4755);
  assert.deepEqual([at('bin/su').uid, at('bin/su').gid, at('bin/su').nlink], [7, 8, 2]);
  assert.equal(at('bin/link').ino, at('bin/su').ino);
  assert.equal(readlinkSync(join(dir, 'bin/sh')), '/bin/su');
  assert.equal(at('bin/sh').uid, 9);
  assert.equal(at('dev/null').rdev, 0x103);
  assert.equal(at('dev').mode & 0o7777, 0o755);
  assert.equal(at('run/fifo').isFIFO() && (at('run/fifo').mode & 0o777) === 0o620, true);
  assert.ok(
    readdirSync(dir, { encoding: 'buffer' }).some((name) => name.equals(Buffer.from('na\xff\xc3\xa9', 'latin1'))),
  );
  assert.equal(xattr(join(dir, 'bin/ping'), 'security.capability'), capability);
  assert.equal(xattr(join(dir, 'bin/ping'), 'trusted.overlay.redirect'), '');
  assert.equal(xattr(join(dir, 'bin/ping'), 'security.selinux'), '');
});

test(
  'LayerUnpacker: whiteouts become overlayfs marks in any order, and lower content stays hidden',
  root,
  async (t) => {
    const dir = scratch(t);
    await unpack(
      dir,
      makeTar([
        { path: 'a/.wh.gone', kind: 'file' },
        { path: 'b/', kind: 'dir' },
        { path: 'b/.wh..wh..opq', kind: 'file' },
        { path: '.wh.c', kind: 'file' },
        { path: 'c/.wh.d', kind: 'file' },
        { path: '.wh.e', kind: 'file' },
        { path: 'e/', kind: 'dir' },
        { path: 'e/new', kind: 'file', content: 'x' },
        { path: '.wh.f', kind: 'file' },
        { path: 'f/implied', kind: 'file' },
        { path: 'g/', kind: 'dir' },
        { path: '.wh.g', kind: 'file' },
        { path: '.wh..wh.plnk', kind: 'dir' },
      ]),
    );
    for (const path of ['a/gone', 'c']) {
      const stat = lstatSync(join(dir, path));
      assert.ok(stat.isCharacterDevice() && stat.rdev === 0, path);
    }
    for (const path of ['b', 'e', 'f', 'g']) assert.equal(xattr(join(dir, path), 'trusted.overlay.opaque'), 'y', path);
    assert.equal(xattr(join(dir, 'a'), 'trusted.overlay.opaque'), '');
    assert.deepEqual(readdirSync(dir).sort(), ['a', 'b', 'c', 'e', 'f', 'g']);
  },
);

test('LayerUnpacker: no entry reaches outside the directory', root, async (t) => {
  const dir = scratch(t);
  const outside = join(dir, 'outside');
  const inside = join(dir, 'inside');
  const hostile: Record<string, TarInput[]> = {
    'absolute symlink as parent': [
      { path: 'up', kind: 'symlink', linkPath: outside },
      { path: 'up/x', kind: 'file' },
    ],
    'relative symlink as parent': [
      { path: 'up', kind: 'symlink', linkPath: '../../outside' },
      { path: 'up/x', kind: 'file' },
    ],
    'proc as parent': [
      { path: 'up', kind: 'symlink', linkPath: '/proc/self/root' },
      { path: `up${outside}/x`, kind: 'file' },
    ],
    'hard link through a symlink': [
      { path: 'up', kind: 'symlink', linkPath: '../outside' },
      { path: 'x', kind: 'link', linkPath: 'up/secret' },
    ],
    'whiteout through a symlink': [
      { path: 'up', kind: 'symlink', linkPath: outside },
      { path: 'up/.wh.secret', kind: 'file' },
    ],
    'opaque mark through a symlink': [
      { path: 'up', kind: 'symlink', linkPath: outside },
      { path: 'up/.wh..wh..opq', kind: 'file' },
    ],
    'file over a symlink': [
      { path: 'up', kind: 'symlink', linkPath: join(outside, 'secret') },
      { path: './x/../up2', kind: 'link', linkPath: 'up' },
      { path: 'alias', kind: 'symlink', linkPath: '.' },
      { path: 'alias/up2', kind: 'file' },
    ],
    'directory over a symlink': [
      { path: 'up', kind: 'symlink', linkPath: outside },
      { path: 'alias', kind: 'symlink', linkPath: '.' },
      { path: 'alias/up', kind: 'dir', mode: 0o777, uid: 42 },
      { path: 'up/x', kind: 'file' },
    ],
  };
  for (const [what, entries] of Object.entries(hostile)) {
    rmSync(outside, { recursive: true, force: true });
    rmSync(inside, { recursive: true, force: true });
    mkdirSync(outside);
    mkdirSync(inside);
    execFileSync('sh', ['-c', 'echo keep > "$1/secret"; chmod 600 "$1/secret"', 'sh', outside]);
    const before = execFileSync('stat', ['-c', '%n %a %u %Y %h', outside, join(outside, 'secret')], {
      encoding: 'utf8',
    });
    await unpack(inside, makeTar(entries.map((entry) => ({ ...entry })))).catch(() => undefined);
    assert.equal(
      execFileSync('stat', ['-c', '%n %a %u %Y %h', outside, join(outside, 'secret')], { encoding: 'utf8' }),
      before,
      what,
    );
    assert.deepEqual(readdirSync(outside), ['secret'], what);
    assert.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'keep\n', what);
    assert.equal(xattr(outside, 'trusted.overlay.opaque'), '', what);
  }
});

test('LayerUnpacker: refuses what no layer may hold', root, async (t) => {
  const refused: Record<string, TarInput[]> = {
    'path above the root': [{ path: 'a/../../x', kind: 'file' }],
    'root as a symlink': [{ path: './', kind: 'symlink', linkPath: '/etc' }],
    'root as a file': [{ path: '.', kind: 'file' }],
    'whiteout of nothing': [{ path: 'a/.wh.', kind: 'file' }],
    'whiteout of the parent': [{ path: 'a/.wh...', kind: 'file' }],
    'one path twice': [
      { path: 'a/b', kind: 'file' },
      { path: './a//b', kind: 'file' },
    ],
    'hard link above the root': [{ path: 'x', kind: 'link', linkPath: '../etc/passwd' }],
    'owner out of range': [{ path: 'x', kind: 'file', uid: 4294967295 }],
  };
  for (const [what, entries] of Object.entries(refused)) {
    await assert.rejects(unpack(scratch(t), makeTar(entries)), (error) => isKind(error, 'invalid'), what);
  }
  await assert.rejects(
    unpack(
      scratch(t),
      makeTar([
        { path: 'a', kind: 'file' },
        { path: 'b', kind: 'file' },
      ]),
      { maxEntries: 1 },
    ),
    (error) => isKind(error, 'exhausted'),
  );
});

test(
  'LayerUnpacker: tar-split and the files give the tar back, byte for byte, for random archives cut anywhere',
  root,
  async (t) => {
    for (let seed = 1; seed <= 12; seed++) {
      const dir = scratch(t);
      const random = randomizer(seed);
      const entries: (TarInput & { content?: Uint8Array })[] = [];
      for (let i = 0; i < 60; i++) {
        const deep = Array.from({ length: 1 + random(30) }, (_, n) => `dir${n}-${random(3)}`).join('/');
        const path = `${deep}/file${i}${random(4) === 0 ? '\xff\xfe' : ''}`;
        if (random(5) === 0) entries.push({ path, kind: 'symlink', linkPath: 'x'.repeat(1 + random(200)) });
        else {
          const size = [0, 1, 511, 512, 513, 70_000, 1_300_000][random(i % 20 === 0 ? 7 : 6)] ?? 0;
          entries.push({
            path,
            kind: 'file',
            uid: random(5_000_000),
            mtimeNanoseconds: random(1e9),
            content: Buffer.alloc(size, i + seed),
            xattrs: random(3) === 0 ? [['user.x', '\0\xff=\n']] : [],
          });
        }
      }
      const tar = Buffer.concat([makeTar(entries), Buffer.alloc(512 * random(20))]);
      const lines: string[] = [];
      await unpack(dir, tar, { onSplit: (text) => lines.push(text) }, 1 + random(100_000));
      const open = (name: string): Uint8Array[] => [readFileSync(Buffer.from(`${dir}/${name}`, 'latin1'))];
      const parts: Uint8Array[] = [];
      for await (const part of joinTarSplit(readTarSplit(lines.map((line) => Buffer.from(line))), open))
        parts.push(part);
      assert.ok(Buffer.concat(parts).equals(tar), `seed ${seed}`);
    }
  },
);

test('LayerUnpacker: unpacks what GNU tar and Python wrote, as GNU tar itself does', root, async (t) => {
  const dir = scratch(t);
  execFileSync('sh', [
    '-c',
    `cd "$1" && mkdir -p src/d && cd src && echo a > d/a && ln d/a d/b && ln -s ../d d/c && chmod 2750 d && mkfifo p && printf x > "$(printf 'n%0150d' 0)" && touch -d '1960-01-01 00:00:00.5' old && chown 12:13 d/a`,
    'sh',
    dir,
  ]);
  for (const format of ['gnu', 'posix', 'ustar']) {
    const tar = execFileSync('tar', [
      '-C',
      join(dir, 'src'),
      `--format=${format}`,
      ...(format === 'ustar' ? ['--exclude=n*', '--exclude=old'] : []),
      '-c',
      '.',
    ]);
    const out = join(dir, format);
    mkdirSync(out);
    await unpack(out, tar, {}, 777);
    const diff = spawnSync('tar', ['-C', out, '-d', '-f', '-'], { input: tar, encoding: 'utf8' });
    assert.equal(diff.stdout + diff.stderr, '', format);
  }
});

test('LayerUnpacker: a full disk is reported and the thread ends', root, async (t) => {
  const dir = join(scratch(t), 'mnt');
  mkdirSync(dir);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir]).status !== 0)
    return t.skip('cannot mount tmpfs here');
  const big = makeTar([{ path: 'big', kind: 'file', content: Buffer.alloc(20_000_000) }]);
  await assert.rejects(unpack(dir, big), (error) => isKind(error, 'exhausted') && error.message.includes('big'));
  assert.ok(existsSync(join(dir, 'big')));
  assert.equal(spawnSync('umount', [dir]).status, 0, 'nothing holds the mount any more');
});

test('LayerUnpacker: whiteouts as files, after what the layer itself has', root, async (t) => {
  const dir = scratch(t);
  const tar = makeTar([
    { path: '.wh.gone', kind: 'file', uid: 5, mtimeSeconds: 1_000_000_000 },
    { path: 'opaque/.wh..wh..opq', kind: 'file' },
    { path: 'opaque/new', kind: 'file', content: 'new' },
    // Before and after what takes its place.
    { path: '.wh.replaced', kind: 'file' },
    { path: 'replaced/', kind: 'dir', mtimeSeconds: 1_000_000_000 },
    { path: 'replaced/new', kind: 'file', content: 'new' },
    { path: 'implied/new', kind: 'file', content: 'new' },
    { path: '.wh.implied', kind: 'file' },
    { path: 'file', kind: 'file', content: 'new' },
    { path: '.wh.file', kind: 'file' },
    { path: '.wh.away', kind: 'file' },
    { path: 'away/.wh.below', kind: 'file' },
    { path: 'away/.wh..wh..opq', kind: 'file' },
    { path: 'link', kind: 'symlink', linkPath: 'opaque' },
    { path: 'link/.wh.through', kind: 'file' },
    { path: 'made/.wh.deep', kind: 'file' },
    { path: '.wh..wh.plnk', kind: 'file' },
  ]);
  await unpack(dir, tar, { whiteouts: 'files' });
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith('link/'))
    .sort();
  assert.deepEqual(names, [
    '.wh.away',
    '.wh.gone',
    'file',
    'implied',
    'implied/.wh..wh..opq',
    'implied/new',
    'link',
    'made',
    'made/.wh.deep',
    'opaque',
    'opaque/.wh..wh..opq',
    'opaque/.wh.through',
    'opaque/new',
    'replaced',
    'replaced/.wh..wh..opq',
    'replaced/new',
  ]);
  const gone = lstatSync(join(dir, '.wh.gone'));
  assert.deepEqual([gone.isFile(), gone.size, gone.uid, gone.mtimeMs], [true, 0, 5, 1_000_000_000_000]);
  assert.equal(lstatSync(join(dir, 'replaced')).mtimeMs, 1_000_000_000_000);
});

test('LayerUnpacker: an image sets nothing that fuse-overlayfs reads', root, async (t) => {
  const dir = scratch(t);
  const xattrs = [
    ['user.fuseoverlayfs.opaque', 'y'],
    ['user.containers.override_stat', '0:0:4755'],
    ['user.mine', 'x'],
  ] as const;
  await unpack(dir, makeTar([{ path: 'd/', kind: 'dir', xattrs: xattrs.map(([name, value]) => [name, value]) }]));
  assert.deepEqual(
    xattrs.map(([name]) => xattr(join(dir, 'd'), name)),
    ['', '', 'x'],
  );
});
