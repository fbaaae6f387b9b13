import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { TareError, isKind, type ErrorKind } from '../base/errors.ts';
import { parsePlatform } from '../spec/mod.ts';
import { buildImage, hostArchitecture, type BuiltImage } from '../../test/support/image.ts';
import { tarOf, type TarEntry } from '../../test/support/tar.ts';
import { parseImageLocation } from './location.ts';
import { MemoryImageStore } from './memory-store.ts';
import { openImageSource } from './open-source.ts';
import { pullImage } from './pull.ts';

const temp = mkdtempSync(join(tmpdir(), 'tare-docker-archive-'));
after(() => rmSync(temp, { recursive: true }));

const tars = [tarOf([{ name: 'a', content: Buffer.alloc(100_000, 1) }]), tarOf([{ name: 'b', content: 'b' }])];
const one = buildImage({ layers: tars, config: { Labels: { is: 'one' } } });
const two = buildImage({ layers: tars.toReversed(), config: { Labels: { is: 'two' } } });

interface Listed {
  readonly Config: string;
  readonly RepoTags: readonly string[] | null;
  readonly Layers: readonly string[];
}

const list = (...images: readonly unknown[]): TarEntry => ({ name: 'manifest.json', content: JSON.stringify(images) });
const listed = (config: string, layers: readonly string[], tags: readonly string[] | null = null): Listed => ({
  Config: config,
  RepoTags: tags,
  Layers: layers,
});

let count = 0;
/** Writes an archive and returns its place. */
function archive(entries: readonly TarEntry[] | Uint8Array): string {
  const path = join(temp, `archive${count++}.tar`);
  writeFileSync(path, entries instanceof Uint8Array ? entries : tarOf(entries));
  return `docker-archive:${path}`;
}

/** Two images that share layers. */
const entries = (): TarEntry[] => [
  { name: 'one.json', content: one.config.bytes },
  { name: 'two.json', content: two.config.bytes },
  { name: '1.tar', content: tars[0] ?? '' },
  { name: '2.tar', content: tars[1] ?? '' },
  list(
    listed('one.json', ['1.tar', '2.tar'], ['busybox:1', 'quay.io/x/y:z']),
    listed('two.json', ['2.tar', '1.tar'], ['localhost/two']),
  ),
];

async function pull(text: string): Promise<MemoryImageStore> {
  const store = new MemoryImageStore();
  await using source = await openImageSource(parseImageLocation(text), { cwd: temp, tempDir: temp });
  await pullImage(source, store, { platform: parsePlatform(`linux/${hostArchitecture()}`) });
  return store;
}

const fails = (promise: Promise<unknown>, kind: ErrorKind, message: RegExp): Promise<void> =>
  assert.rejects(promise, (error) => {
    assert.ok(isKind(error, kind), String(error));
    assert.match(error.message, message);
    return true;
  });

function assertPulled(store: MemoryImageStore, image: BuiltImage, names: readonly string[]): void {
  const [stored] = store.images;
  assert.ok(stored && store.images.length === 1);
  assert.deepEqual(stored.names, names);
  assert.deepEqual(Buffer.from(stored.config), image.config.bytes);
  assert.deepEqual(
    stored.layers.map(({ diffId }) => diffId as string),
    image.diffIds,
  );
}

const openFds = (): number => readdirSync('/proc/self/fd').length;

describe('docker-archive:', () => {
  test('gives the image that is named, by any of its names or its place', async () => {
    const place = archive(entries());
    assertPulled(await pull(`${place}:busybox:1`), one, ['docker.io/library/busybox:1']);
    assertPulled(await pull(`${place}:docker.io/library/busybox:1`), one, ['docker.io/library/busybox:1']);
    assertPulled(await pull(`${place}:quay.io/x/y:z`), one, ['quay.io/x/y:z']);
    assertPulled(await pull(`${place}:localhost/two`), two, ['localhost/two:latest']);
    assertPulled(await pull(`${place}:@1`), two, ['localhost/two:latest']);
    await fails(pull(place), 'invalid', /busybox:1.*quay\.io\/x\/y:z.*@N/);
    await fails(pull(`${place}:busybox:2`), 'not-found', /it has docker\.io\/library\/busybox:1/);
    await fails(pull(`${place}:@2`), 'not-found', /@2/);
  });

  test('gives an only image without choice; without a usable name it has none', async () => {
    const rest = entries().slice(0, -1);
    for (const tags of [null, [], ['NOT A NAME']])
      assertPulled(await pull(archive([...rest, list(listed('one.json', ['1.tar', '2.tar'], tags))])), one, []);
    await fails(pull(archive([...rest, list()])), 'not-found', /0 images/);
  });

  test("is read in docker's old layout, whose equal layers are links, and in any order", async () => {
    const same = buildImage({ layers: [tars[0] ?? '', tars[0] ?? ''] as Buffer[] });
    const old: TarEntry[] = [
      { name: 'aa/', type: 'directory' },
      { name: 'aa/VERSION', content: '1.0' },
      { name: 'aa/layer.tar', content: tars[0] ?? '' },
      { name: 'bb/', type: 'directory' },
      { name: 'bb/layer.tar', type: 'symlink', link: '../aa/layer.tar' },
      { name: 'config.json', content: same.config.bytes },
      { name: 'repositories', content: '{}' },
      list(listed('config.json', ['aa/layer.tar', 'bb/layer.tar'], ['x:1'])),
    ];
    assertPulled(await pull(archive(old)), same, ['docker.io/library/x:1']);
    assertPulled(await pull(archive(old.toReversed())), same, ['docker.io/library/x:1']);
    const linked = old.map((entry) =>
      entry.type === 'symlink' ? ({ ...entry, type: 'hardlink', link: './aa/layer.tar' } as const) : entry,
    );
    assertPulled(await pull(archive(linked)), same, ['docker.io/library/x:1']);
  });

  test('is read compressed as a whole and with compressed layers, and leaves nothing behind', async () => {
    const before = openFds();
    const whole = tarOf(entries());
    for (const packed of [gzipSync(whole), zstdCompressSync(whole)])
      assertPulled(await pull(`${archive(packed)}:@0`), one, ['docker.io/library/busybox:1']);
    for (const compress of [gzipSync, zstdCompressSync]) {
      const packed = entries().map((entry) =>
        entry.name.endsWith('.tar') ? { ...entry, content: compress(entry.content ?? '') } : entry,
      );
      assertPulled(await pull(`${archive(packed)}:@1`), two, ['localhost/two:latest']);
    }
    assert.equal(openFds(), before);
    assert.ok(readdirSync(temp).every((name) => name.startsWith('archive')));
  });

  test('that is hostile reads nothing outside, and is refused', async () => {
    const config: TarEntry = { name: 'one.json', content: one.config.bytes };
    const layer = (content: string | Uint8Array, name = '1.tar'): TarEntry => ({ name, content });
    const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = tars;
    const good = [config, layer(first), layer(second, '2.tar')];
    const of = (...layers: string[]): TarEntry => list(listed('one.json', layers));
    const cases: Record<string, readonly [TarEntry[], ErrorKind, RegExp]> = {
      'no table': [good, 'not-found', /manifest\.json/],
      'a table that is a link out of it': [
        [...good, { name: 'manifest.json', type: 'symlink', link: '/etc/passwd' }],
        'not-found',
        /not there/,
      ],
      'an absolute layer': [[...good, of('/etc/passwd', '2.tar')], 'not-found', /etc\/passwd/],
      'a layer above it': [[...good, of('../../../etc/passwd', '2.tar')], 'invalid', /leaves the archive/],
      'a config above it': [[...good, list(listed('../x', ['1.tar', '2.tar']))], 'invalid', /leaves the archive/],
      'a layer that links out of it': [
        [config, layer(second, '2.tar'), { name: '1.tar', type: 'symlink', link: '/etc/passwd' }, of('1.tar', '2.tar')],
        'not-found',
        /not there/,
      ],
      'links in a circle': [
        [
          config,
          layer(second, '2.tar'),
          { name: '1.tar', type: 'symlink', link: 'x' },
          { name: 'x', type: 'symlink', link: '1.tar' },
          of('1.tar', '2.tar'),
        ],
        'invalid',
        /no end/,
      ],
      'a layer twice': [[...good, layer(second, './1.tar'), of('1.tar', '2.tar')], 'invalid', /twice/],
      'a layer that became a directory': [
        [config, layer(second, '2.tar'), { name: '1.tar', type: 'directory' }, of('1.tar', '2.tar')],
        'not-found',
        /not there/,
      ],
      'another layer': [[config, layer(second), layer(second, '2.tar'), of('1.tar', '2.tar')], 'invalid', /digest/],
      'a compressed other layer': [
        [config, layer(gzipSync(second)), layer(second, '2.tar'), of('1.tar', '2.tar')],
        'invalid',
        /unpacks to/,
      ],
      'a layer too few': [[...good, of('1.tar')], 'invalid', /1 layers, its config names 2/],
      'a layer of another compression': [
        [config, layer('BZh91AY&SY'), layer(second, '2.tar'), of('1.tar', '2.tar')],
        'unsupported',
        /bzip2/,
      ],
      'a table of a megabyte': [
        [...good, { name: 'manifest.json', content: `[${' '.repeat(1024 * 1024)}]` }],
        'invalid',
        /longer than/,
      ],
      'a table of many images': [[...good, list(...Array.from({ length: 1001 }, () => ({})))], 'invalid', /1001 items/],
      'a table of many layers': [
        [...good, of(...Array.from({ length: 1001 }, () => '1.tar'))],
        'invalid',
        /1001 items/,
      ],
      'a table that is none': [
        [...good, { name: 'manifest.json', content: '{"Config":"one.json"}' }],
        'invalid',
        /not a list/,
      ],
      'a table of wrong types': [[...good, list({ Config: 7, Layers: [] })], 'invalid', /not a string/],
      'an entry without config': [[...good, list({ Layers: [] })], 'invalid', /no Config/],
      'a config of nine megabytes': [
        [
          layer(first),
          layer(second, '2.tar'),
          { name: 'one.json', content: Buffer.alloc(9 * 1024 * 1024, ' ') },
          of('1.tar', '2.tar'),
        ],
        'invalid',
        /longer than/,
      ],
    };
    for (const [what, [content, kind, message]] of Object.entries(cases)) {
      await fails(pull(archive(content)), kind, message).catch((error: unknown) =>
        assert.fail(`${what}: ${String(error)}`),
      );
    }
  });

  test('damaged anywhere gives the image or a TareError', async () => {
    const whole = tarOf(entries());
    let x = 5;
    const next = (n: number): number => (x = (x * 1103515245 + 12345) & 0x7fffffff) % n;
    for (let i = 0; i < 200; i++) {
      const bytes = Buffer.from(whole);
      for (let n = next(4); n >= 0; n--) bytes[next(bytes.length)] = next(256);
      const place = archive(bytes.subarray(0, next(5) === 0 ? next(bytes.length) : bytes.length));
      try {
        await pull(`${place}:@0`);
      } catch (error) {
        assert.ok(error instanceof TareError, String(error));
      }
    }
  });
});
