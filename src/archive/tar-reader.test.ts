import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { isKind, TareError } from '../base/errors.ts';
import { makeTar, randomizer } from './_tar.suite.ts';
import { formatPax } from './pax.ts';
import { type TarEntry, TarReader } from './tar-reader.ts';
import { TAR_END, tarHeader, type TarInput, tarPadding } from './tar-writer.ts';

interface Read {
  readonly entries: (TarEntry & { content: string })[];
  readonly raw: Buffer;
}

/** Reads a tar given in pieces of `step` bytes. */
function read(tar: Uint8Array, step = tar.length || 1): Read {
  const entries: (TarEntry & { content: string })[] = [];
  const raw: Buffer[] = [];
  const reader = new TarReader({
    raw: (bytes, start, end) => raw.push(Buffer.from(bytes.subarray(start, end))),
    entry: (entry) => entries.push({ ...entry, content: '' }),
    data: (bytes, start, end) => {
      (entries.at(-1) ?? assert.fail('data before an entry')).content += bytes.toString('latin1', start, end);
    },
    endEntry: () => undefined,
  });
  for (let at = 0; at < tar.length; at += step) reader.write(tar.subarray(at, at + step));
  reader.end();
  return { entries, raw: Buffer.concat(raw) };
}

/** Sets bytes of a header block and its checksum. */
function patch(header: Buffer, at: number, bytes: string | Buffer, block = 0): Buffer {
  const result = Buffer.from(header);
  Buffer.from(bytes as string, 'latin1').copy(result, block + at);
  result.fill(' ', block + 148, block + 156);
  let sum = 0;
  for (let i = block; i < block + 512; i++) sum += result[i] ?? 0;
  result.write(`${sum.toString(8).padStart(6, '0')}\0 `, block + 148, 'latin1');
  return result;
}

function special(type: string, body: Buffer): Buffer {
  const header = patch(tarHeader({ path: 'special', kind: 'file', sizeBytes: body.length }), 156, type);
  return Buffer.concat([header, body, tarPadding(body.length)]);
}

const pax = (records: [string, string][], type = 'x'): Buffer => special(type, formatPax(records));
const file = (path: string, content = ''): Buffer => makeTar([{ path, kind: 'file', content }], false);
const refused = (tar: Uint8Array, what: string, kind: 'invalid' | 'unsupported' = 'invalid'): void => {
  for (const step of [tar.length, 100])
    assert.throws(
      () => read(tar, step),
      (error) => isKind(error, kind),
      what,
    );
};

test('TarReader: gives back what tarHeader wrote, cut at any place, and every other byte as raw', () => {
  const inputs: (TarInput & { content?: string })[] = [
    { path: 'plain', kind: 'file', content: 'hello', mode: 0o4755, uid: 12, gid: 34, mtimeSeconds: 1e9 },
    { path: `${'d'.repeat(90)}/${'f'.repeat(90)}`, kind: 'file', content: 'x'.repeat(512) },
    { path: `${'very-long/'.repeat(100)}end`, kind: 'file', content: '' },
    { path: 'bin\xff\xfe', kind: 'symlink', linkPath: 'y'.repeat(300) },
    { path: 'big-ids', kind: 'file', uid: 4294967294, gid: 3000000 },
    { path: 'old', kind: 'dir', mtimeSeconds: -2, mtimeNanoseconds: 500_000_000 },
    {
      path: 'x',
      kind: 'file',
      xattrs: [
        ['security.capability', '\0\x01\n=\xff'],
        ['user.empty', ''],
      ],
    },
    { path: 'dev', kind: 'char', major: 1, minor: 0x3ffff },
    { path: 'hard', kind: 'link', linkPath: 'plain' },
  ];
  const tar = makeTar(inputs);
  const whole = read(tar);
  for (const step of [1, 3, 511, 512, 513, 4096])
    assert.deepEqual(read(tar, step).entries, whole.entries, `step ${step}`);
  assert.equal(whole.raw.length + inputs.reduce((sum, input) => sum + (input.content ?? '').length, 0), tar.length);
  inputs.forEach((input, i) => {
    const entry = whole.entries[i] ?? assert.fail();
    assert.equal(entry.path, input.kind === 'dir' ? `${input.path}/` : input.path);
    for (const key of [
      'kind',
      'linkPath',
      'mode',
      'uid',
      'gid',
      'mtimeSeconds',
      'mtimeNanoseconds',
      'major',
      'minor',
      'content',
    ] as const) {
      if (input[key as 'kind'] !== undefined) assert.equal(entry[key], input[key as 'kind'], `${input.path} ${key}`);
    }
    assert.deepEqual(entry.xattrs, input.xattrs ?? []);
  });
});

test('TarReader: takes base-256 numbers, GNU long names, pre-ustar directories and the star prefix', () => {
  const base256 = patch(tarHeader({ path: 'n', kind: 'file' }), 108, Buffer.from([0x80, 0, 0, 0, 0, 0x2d, 0xc6, 0xc0]));
  const negative = patch(
    base256,
    136,
    Buffer.concat([Buffer.from([0xff]), Buffer.alloc(10, 0xff), Buffer.from([0xfe])]),
  );
  assert.deepEqual(
    read(Buffer.concat([negative, TAR_END])).entries.map((e) => [e.uid, e.mtimeSeconds]),
    [[3_000_000, -2]],
  );
  const long = Buffer.concat([
    special('L', Buffer.from(`${'a/'.repeat(400)}b\0`)),
    special('K', Buffer.from(`${'t'.repeat(200)}\0`)),
    patch(file('short'), 156, '2'),
    TAR_END,
  ]);
  assert.deepEqual(
    read(long).entries.map((e) => [e.kind, e.path.length, e.linkPath.length]),
    [['symlink', 801, 200]],
  );
  const old = patch(patch(file('dir/'), 156, '\0'), 257, '\0\0\0\0\0\0\0\0');
  assert.deepEqual(
    read(Buffer.concat([old, TAR_END])).entries.map((e) => e.kind),
    ['dir'],
  );
});

test('TarReader: a PAX size applies to the next real entry only, and always', () => {
  // The header says 0 bytes; the record says 512. A reader that ignores the record would take the contents for a header.
  const smuggled = file('smuggled');
  const tar = Buffer.concat([pax([['size', '512']]), file('outer'), smuggled, file('after'), TAR_END]);
  assert.deepEqual(
    read(tar).entries.map((e) => [e.path, e.content.length]),
    [
      ['outer', 512],
      ['after', 0],
    ],
  );
  // Before a long name, the record belongs to the entry behind it, not to the long name.
  const between = Buffer.concat([
    pax([['size', '3']]),
    special('L', Buffer.from('renamed\0')),
    file('x'),
    Buffer.from('abc'),
    tarPadding(3),
    file('after'),
    TAR_END,
  ]);
  assert.deepEqual(
    read(between).entries.map((e) => [e.path, e.content]),
    [
      ['renamed', 'abc'],
      ['after', ''],
    ],
  );
});

test('TarReader: refuses archives that two readers could understand differently, and damaged ones', () => {
  const end = (...parts: Uint8Array[]): Buffer => Buffer.concat([...parts, TAR_END]);
  refused(end(pax([['path', 'a']]), pax([['path', 'b']]), file('x')), 'two PAX headers');
  refused(end(pax([['path', 'a']]), special('L', Buffer.from('b\0')), file('x')), 'PAX path and GNU long name');
  refused(end(pax([['size', '512']], 'g'), file('x')), 'global size');
  refused(end(pax([['path', 'x']], 'g'), file('y')), 'global path');
  refused(end(pax([['path', 'x']])), 'PAX header at the end');
  refused(pax([['path', 'x']]), 'PAX header before the end of input');
  refused(end(pax([['size', '-1']]), file('x')), 'negative PAX size');
  refused(end(pax([['size', '9'.repeat(20)]]), file('x')), 'PAX size out of range');
  refused(end(pax([['path', 'a\0b']]), file('x')), 'NUL in a PAX path');
  refused(end(special('x', Buffer.from('11 path=a\n')), file('x')), 'PAX length too long');
  refused(end(special('x', Buffer.from('0 path=a\n')), file('x')), 'PAX length zero');
  refused(end(special('x', Buffer.from('9999999999 path=a\n')), file('x')), 'PAX length huge');
  refused(end(special('x', Buffer.alloc(2 * 1024 * 1024)), file('x')), 'PAX header over the cap');
  refused(end(pax([['SCHILY.xattr.user.x', 'v'.repeat(65537)]]), file('x')), 'attribute over the cap');
  refused(end(special('L', Buffer.from('n'.repeat(5000))), file('x')), 'name over the cap');
  refused(end(patch(file('x'), 124, Buffer.from([0xff, ...Buffer.alloc(11, 0xff)]))), 'negative size');
  refused(end(patch(file('x'), 108, '7777777\xff')), 'owner no number');
  refused(end(patch(file('x'), 0, '\0')), 'no name');
  refused(end(patch(file('x'), 156, '2')), 'symlink without target');
  refused(end(Buffer.concat([file('x').fill(1, 20, 21)])), 'wrong checksum');
  refused(Buffer.concat([file('x'), Buffer.alloc(512), file('y'), TAR_END]), 'single zero block');
  refused(makeTar([{ path: 'x', kind: 'file', content: 'cut' }], false).subarray(0, 514), 'cut in contents');
  refused(file('x').subarray(0, 300), 'cut in a header');
  refused(end(patch(file('x'), 156, 'S')), 'sparse', 'unsupported');
  refused(end(pax([['GNU.sparse.map', '0,1']]), file('x')), 'PAX sparse', 'unsupported');
  refused(end(patch(file('x'), 156, 'V')), 'volume label', 'unsupported');
});

test('TarReader: random damage gives an archive or a typed error, never anything else', () => {
  const good = makeTar([
    { path: `${'long/'.repeat(60)}x`, kind: 'file', content: 'abc', xattrs: [['user.a', 'b']] },
    { path: 'y', kind: 'symlink', linkPath: 'z' },
  ]);
  const random = randomizer(4242);
  for (let round = 0; round < 3000; round++) {
    const bad = Buffer.from(good);
    for (let n = 1 + random(4); n > 0; n--) bad[random(bad.length)] = random(256);
    // Half of them with checksums made right again, so that damage gets past the first check.
    if (round % 2 === 0) for (const block of [0, 1024]) patch(bad, 0, bad.subarray(block, block + 1), block).copy(bad);
    try {
      read(bad.subarray(0, random(bad.length + 1)), 1 + random(700));
    } catch (error) {
      assert.ok(error instanceof TareError && ['invalid', 'unsupported'].includes(error.kind), String(error));
    }
  }
});

test(
  'tarHeader: GNU tar lists what it wrote',
  { skip: spawnSync('tar', ['--version']).status === 0 ? false : 'needs tar' },
  () => {
    const tar = makeTar([
      { path: `${'p'.repeat(120)}/${'q'.repeat(120)}`, kind: 'file', content: 'x' },
      { path: 'd', kind: 'dir', mtimeSeconds: 1_000_000_000 },
      { path: 'l', kind: 'symlink', linkPath: 'd' },
    ]);
    const list = spawnSync('tar', ['-tvf', '-', '--utc', '--full-time'], {
      input: tar,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', TZ: 'UTC' },
    });
    assert.equal(list.stderr, '');
    assert.match(list.stdout, new RegExp(`^-rw-r--r-- 0/0 +1 .* ${'p'.repeat(120)}/${'q'.repeat(120)}\n`));
    assert.match(list.stdout, /^drwxr-xr-x 0\/0 +0 2001-09-09 01:46:40 d\/$/m);
    assert.match(list.stdout, /^lrw.* l -> d$/m);
  },
);
