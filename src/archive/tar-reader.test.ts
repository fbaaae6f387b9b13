import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { isKind, TareError } from '../base/errors.ts';
import {
  joined,
  makeTar,
  oldGnuSparse,
  patched as patch,
  paxEntry as pax,
  paxSparse,
  randomizer,
  rawEntry as special,
} from './_tar.suite.ts';
import { type TarEntry, TarReader } from './tar-reader.ts';
import { TAR_END, tarHeader, type TarInput, tarPadding } from './tar-writer.ts';

interface Read {
  /** Contents with holes as zeros. */
  readonly entries: (TarEntry & { content: string; holes: number })[];
  readonly raw: Buffer;
}

/** Reads a tar given in pieces of `step` bytes. */
function read(tar: Uint8Array, step = tar.length || 1): Read {
  const entries: (TarEntry & { content: string; holes: number })[] = [];
  const current = (): (typeof entries)[number] => entries.at(-1) ?? assert.fail('data before an entry');
  const raw: Buffer[] = [];
  const reader = new TarReader({
    raw: (bytes, start, end) => raw.push(Buffer.from(bytes.subarray(start, end))),
    entry: (entry) => entries.push({ ...entry, content: '', holes: 0 }),
    data: (bytes, start, end) => {
      current().content += bytes.toString('latin1', start, end);
    },
    hole: (bytes) => {
      current().holes++;
      // A hole may be larger than memory.
      current().content += '\0'.repeat(Math.min(bytes, 1_000_000));
    },
    endEntry: () => undefined,
  });
  for (let at = 0; at < tar.length; at += step) reader.write(tar.subarray(at, at + step));
  reader.end();
  return { entries, raw: Buffer.concat(raw) };
}

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
  refused(end(patch(file('x'), 124, '0000001 7777')), 'digits behind the end of a number');
  refused(end(patch(file('x'), 124, '         -1\0')), 'a sign');
  refused(end(patch(file('x'), 156, 'V')), 'volume label', 'unsupported');
});

const runs = [
  [0, 'start'],
  [4096, 'x'.repeat(700)],
  [5000, ''],
  [9000, 'end'],
] as const;
const many = Array.from({ length: 50 }, (_, i) => [i * 1000, `run ${i}`] as const);

test('TarReader: sparse files of all four forms, cut at any place, with the holes where they were', () => {
  const whole = (list: typeof runs | typeof many, size: number): string => {
    const bytes = Buffer.alloc(size);
    for (const [offset, text] of list) bytes.write(text, offset, 'latin1');
    return bytes.toString('latin1');
  };
  for (const [list, size] of [
    [runs, 10_000],
    [runs, 9003],
    [many, 60_000],
    [[], 5000],
    [[[0, 'no hole']] as const, 7],
  ] as const) {
    for (const [form, tar] of [
      ['0.0', list.length > 0 && paxSparse('0.0', 'dir/s', list, size)],
      ['0.1', list.length > 0 && paxSparse('0.1', 'dir/s', list, size)],
      ['1.0', paxSparse('1.0', 'dir/s', list, size)],
      ['old', oldGnuSparse('dir/s', list, size)],
    ] as const) {
      if (tar === false) continue;
      const archive = joined(tar, file('after', 'after'));
      for (const step of [archive.length, 1, 511, 700]) {
        const { entries, raw } = read(archive, step);
        assert.deepEqual(
          entries.map((e) => [e.path, e.sizeBytes, e.isSparse]),
          [
            ['dir/s', size, true],
            ['after', 5, false],
          ],
          `${form} ${step}`,
        );
        assert.equal(entries[0]?.content, whole(list as typeof runs, size), `${form} ${step}`);
        const stored = list.reduce((sum, [, text]) => sum + text.length, 0) + 5;
        assert.equal(raw.length, archive.length - stored, `${form} ${step}`);
      }
    }
  }
});

test('TarReader: refuses sparse files whose map and contents disagree, or whose map is huge', () => {
  const bad = (
    form: '0.0' | '0.1' | '1.0',
    map: string | readonly (readonly [number, string])[],
    size: number,
  ): Buffer =>
    typeof map === 'string'
      ? joined(
          pax([
            ['GNU.sparse.major', '0'],
            ['GNU.sparse.minor', form === '0.0' ? '0' : '1'],
            ['GNU.sparse.size', String(size)],
            ['GNU.sparse.map', map],
          ]),
          special('0', 'abc', 's'),
        )
      : joined(paxSparse(form, 's', map, size));
  refused(bad('0.1', '0,2', 10), 'more is stored than the map has');
  refused(bad('0.1', '0,4', 10), 'less is stored than the map has');
  refused(bad('0.1', '8,3', 10), 'a run behind the end of the file');
  refused(bad('0.1', '2,2,0,1', 10), 'runs out of order');
  refused(bad('0.1', '0,2,1,1', 10), 'runs that overlap');
  refused(bad('0.1', '0,3,5', 10), 'half a run');
  refused(bad('0.1', '-1,3', 10), 'a negative offset');
  refused(bad('0.1', `${2 ** 53 - 1},3`, 2 ** 53 - 1), 'an offset that overflows');
  refused(bad('0.1', `0,${2 ** 53 - 1},5,3`, 10), 'a size that overflows');
  refused(bad('0.1', 'x', 10), 'no number');
  refused(joined(pax([['GNU.sparse.map', '0,1']]), file('x', 'a')), 'no size');
  refused(joined(pax([['GNU.sparse.size', '5']]), file('x', 'a')), 'no map');
  refused(
    joined(
      pax([
        ['GNU.sparse.size', '5'],
        ['GNU.sparse.realsize', '6'],
        ['GNU.sparse.map', '0,1'],
      ]),
      file('x', 'a'),
    ),
    'two sizes',
  );
  refused(
    joined(
      pax([
        ['GNU.sparse.size', '5'],
        ['GNU.sparse.numblocks', '7'],
        ['GNU.sparse.map', '0,1'],
      ]),
      file('x', 'a'),
    ),
    'a count that is wrong',
  );
  const order = [
    ['GNU.sparse.numbytes', '1'],
    ['GNU.sparse.offset', '0'],
  ] as const;
  refused(joined(pax([['GNU.sparse.size', '5'], ...order]), file('x', 'a')), 'form 0.0 in the wrong order');
  refused(
    joined(
      pax([
        ['GNU.sparse.major', '2'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.size', '5'],
      ]),
      file('x', 'a'),
    ),
    'a form of the future',
    'unsupported',
  );
  const directory = special('5', '', 'd/');
  refused(
    joined(
      pax([
        ['GNU.sparse.size', '0'],
        ['GNU.sparse.map', '0,0'],
      ]),
      directory,
    ),
    'a sparse directory',
  );
  const one = [
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.realsize', '100'],
  ] as const;
  refused(joined(pax(one), special('0', `${'9'.repeat(20)}\n`, 's')), 'a count of twenty digits');
  refused(joined(pax(one), special('0', '2\n0\n5\n', 's')), 'a map that ends too early');
  refused(joined(pax(one), special('0', '', 's')), 'no map in the contents');
  refused(joined(pax(one), special('0', Buffer.alloc(1024, '0'), 's')), 'a map without an end');
  refused(joined(pax(one), special('0', '99999999\n'.padEnd(2 ** 21, '0\n'), 's')), 'a map of millions of runs');
  refused(
    joined(
      oldGnuSparse(
        's',
        Array.from({ length: 50_000 }, (_, i) => [i * 2, 'x'] as const),
        2 ** 20,
      ),
    ),
    'an old map of more than 1 MiB',
  );
  refused(joined(patch(oldGnuSparse('s', runs, 10_000), 483, '00000000001\0')), 'old: a run behind the end');
  refused(joined(patch(oldGnuSparse('s', runs, 10_000), 257, 'ustar\x0000')), 'old: in an archive that is not GNU');
  refused(
    joined(
      pax([
        ['GNU.sparse.size', '10000'],
        ['GNU.sparse.map', '0,1'],
      ]),
      oldGnuSparse('s', runs, 10_000),
    ),
    'both forms',
  );
  refused(oldGnuSparse('s', many, 60_000).subarray(0, 700), 'cut in the map');
  const reader = new TarReader({ entry: () => {}, data: () => {}, endEntry: () => {} });
  assert.throws(
    () => reader.write(oldGnuSparse('s', runs, 10_000)),
    (error) => isKind(error, 'unsupported'),
    'a sink that cannot make holes',
  );
});

test('TarReader: sizes of what has no contents are ignored, wherever they are stated', () => {
  for (const [type, link] of [
    ['1', 'after'],
    ['2', 'after'],
    ['3', ''],
    ['4', ''],
    ['5', ''],
    ['6', ''],
  ] as const) {
    const header = patch(patch(patch(file('odd'), 156, type), 157, link), 124, '00000001000');
    for (const tar of [joined(header, file('after')), joined(pax([['size', '512']]), header, file('after'))])
      assert.deepEqual(
        read(tar).entries.map((e) => [e.path, e.sizeBytes, e.content]),
        [
          ['odd', 0, ''],
          ['after', 0, ''],
        ],
        type,
      );
  }
  // With a typeflag, a trailing slash makes no directory: its contents are not taken for a header.
  const slash = patch(
    patch(makeTar([{ path: 'x/', kind: 'file', content: 'a'.repeat(512) }], false), 156, '0'),
    257,
    '\0'.repeat(8),
  );
  assert.deepEqual(
    read(joined(slash, file('after'))).entries.map((e) => [e.path, e.kind, e.content.length]),
    [
      ['x/', 'file', 512],
      ['after', 'file', 0],
    ],
  );
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
