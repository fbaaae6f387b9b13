import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { TareError, isKind, type ErrorKind } from '../base/errors.ts';
import { parsePlatform } from '../spec/mod.ts';
import { blobsOf, buildImage, hostArchitecture, writeLayout } from '../../test/support/image.ts';
import { tarOf, type TarEntry } from '../../test/support/tar.ts';
import { parseImageLocation } from './location.ts';
import { MemoryImageStore } from './memory-store.ts';
import { openImageSource } from './open-source.ts';
import { pullImage } from './pull.ts';

const temp = mkdtempSync(join(tmpdir(), 'tare-layout-'));
after(() => rmSync(temp, { recursive: true }));
const image = buildImage({
  layers: [tarOf([{ name: 'a', content: Buffer.alloc(100_000, 1) }]), tarOf([{ name: 'b' }])],
});
const manifestPath = `blobs/${image.manifest.descriptor.digest.replace(':', '/')}`;
const layerPath = `blobs/${image.layers[0]?.descriptor.digest.replace(':', '/')}`;

async function pull(text: string): Promise<MemoryImageStore> {
  const store = new MemoryImageStore();
  await using source = await openImageSource(parseImageLocation(text), { cwd: temp });
  await pullImage(source, store, { platform: parsePlatform(`linux/${hostArchitecture()}`) });
  return store;
}

const fails = (promise: Promise<unknown>, kind: ErrorKind, message: RegExp): Promise<void> =>
  assert.rejects(promise, (error) => {
    assert.ok(isKind(error, kind), String(error));
    assert.match(error.message, message);
    return true;
  });

let count = 0;
/** A good layout, to be spoiled. */
function layout(): string {
  const name = `layout${count++}`;
  writeLayout(join(temp, name), blobsOf(image), { one: image.manifest });
  return name;
}

const openFds = (): number => readdirSync('/proc/self/fd').length;

describe('an OCI layout in a directory', () => {
  test('with links inside it is read; with links out of it, FIFOs and directories it is refused', async () => {
    const dir = layout();
    const at = (path: string): string => join(temp, dir, path);
    renameSync(at(layerPath), at('elsewhere'));
    symlinkSync('../../elsewhere', at(layerPath));
    assert.equal((await pull(`oci:${dir}`)).layers.size, 2);
    const spoil = async (make: () => void, message: RegExp): Promise<void> => {
      rmSync(at(layerPath), { recursive: true, force: true });
      make();
      await fails(pull(`oci:${dir}`), 'invalid', message);
    };
    renameSync(at('elsewhere'), join(temp, 'outside'));
    await spoil(() => symlinkSync('../../../outside', at(layerPath)), /leads out of the directory/);
    await spoil(() => symlinkSync(join(temp, 'outside'), at(layerPath)), /leads out of the directory/);
    await spoil(
      () => (symlinkSync('loop', at('loop')) as void) ?? symlinkSync('../../loop', at(layerPath)),
      /leads out of the directory/,
    );
    await spoil(() => execFileSync('mkfifo', [at(layerPath)]), /not a regular file/);
    await spoil(() => mkdirSync(at(layerPath)), /not a regular file/);
  });

  test('of another version, without a version, or with a broken index is refused', async () => {
    for (const [file, text, kind, message] of [
      ['oci-layout', '{"imageLayoutVersion":"2.0.0"}', 'unsupported', /version 1\.0\.0/],
      ['oci-layout', 'x', 'unsupported', /version 1\.0\.0/],
      ['oci-layout', ' '.repeat(5000), 'invalid', /longer than 4096/],
      ['index.json', '{}', 'invalid', /schemaVersion/],
      ['index.json', image.manifest.bytes.toString(), 'invalid', /no index/],
      ['index.json', '{"schemaVersion":2,"manifests":[]}', 'not-found', /no named image/],
      [manifestPath, '{}', 'invalid', /2 bytes, its descriptor says/],
    ] as const) {
      const dir = layout();
      writeFileSync(join(temp, dir, file), text);
      await fails(pull(`oci:${dir}`), kind, message);
    }
  });

  test('with a changed or missing blob is refused, and nothing stays open', async () => {
    const before = openFds();
    const dir = layout();
    const path = join(temp, dir, layerPath);
    const bytes = readFileSync(path);
    bytes[bytes.length - 5] = (bytes[bytes.length - 5] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await fails(pull(`oci:${dir}`), 'invalid', /digest is|damaged/);
    unlinkSync(path);
    await fails(pull(`oci:${dir}`), 'not-found', /it is not there/);
    assert.equal(openFds(), before);
  });
});

describe('an OCI layout in an archive', () => {
  const files = (dir: string): TarEntry[] =>
    readdirSync(join(temp, dir), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => ({
        name: join(entry.parentPath, entry.name).slice(join(temp, dir).length + 1),
        content: readFileSync(join(entry.parentPath, entry.name)),
      }));
  const archive = (bytes: Uint8Array): string => {
    const name = `archive${count++}.tar`;
    writeFileSync(join(temp, name), bytes);
    return `oci-archive:${name}`;
  };

  test('made by tar(1), with directories and ./ before names, in any order', async () => {
    const dir = layout();
    execFileSync('tar', ['-C', join(temp, dir), '-cf', join(temp, 'gnu.tar'), '.']);
    const before = openFds();
    assert.equal((await pull('oci-archive:gnu.tar')).layers.size, 2);
    assert.equal((await pull('oci-archive:gnu.tar:one')).images[0]?.names[0], 'localhost/one:latest');
    assert.equal((await pull(archive(tarOf(files(dir).reverse())))).layers.size, 2);
    assert.equal(openFds(), before);
  });

  test('is read as a whole in gzip or zstd, and leaves no copy behind', async () => {
    const whole = tarOf(files(layout()));
    const before = openFds();
    for (const packed of [gzipSync(whole), zstdCompressSync(whole)])
      assert.equal((await pull(archive(packed))).layers.size, 2);
    assert.equal(openFds(), before);
  });

  test('with a file twice, cut short, compressed, or no archive at all', async () => {
    const dir = layout();
    const good = files(dir);
    const whole = tarOf(good);
    await fails(
      pull(archive(tarOf([...good, { name: './index.json', content: '{}' }]))),
      'invalid',
      /index\.json twice/,
    );
    await fails(pull(archive(whole.subarray(0, 700))), 'invalid', /middle of an entry/);
    await fails(pull(archive(gzipSync(whole).subarray(0, -9))), 'invalid', /gzip data is damaged/);
    await fails(pull(archive(Buffer.from('BZh91AY&SY'))), 'unsupported', /bzip2/);
    await fails(pull(archive(Buffer.from('hello'.repeat(500)))), 'invalid', /tar/);
    await fails(pull(archive(Buffer.alloc(0))), 'not-found', /oci-layout/);
    await fails(pull('oci-archive:nowhere.tar'), 'not-found', /no such file/);
    await fails(pull(`oci-archive:${temp}`), 'invalid', /it is a directory/);
  });

  test('with links and paths that lead elsewhere reads nothing there', async () => {
    const dir = layout();
    const good = files(dir).filter(({ name }) => name !== layerPath);
    for (const [evil, kind, message] of [
      [{ name: layerPath, type: 'symlink', link: '/etc/passwd' }, 'not-found', /it is not there/],
      [{ name: layerPath, type: 'hardlink', link: 'index.json' }, 'invalid', /bytes, its descriptor says/],
      [{ name: layerPath, type: 'hardlink', link: layerPath }, 'invalid', /links have no end/],
      [{ name: layerPath, type: 'symlink', link: '../../../../x' }, 'invalid', /leaves the archive/],
      [{ name: `../${layerPath}` }, 'invalid', /leaves the archive/],
      [{ name: layerPath, content: 'short' }, 'invalid', /5 bytes, its descriptor says/],
    ] as const satisfies readonly (readonly [TarEntry, ErrorKind, RegExp])[]) {
      await fails(pull(archive(tarOf([...good, evil]))), kind, message);
    }
  });

  test('damaged anywhere gives the image or a TareError', async () => {
    const whole = tarOf(files(layout()));
    let x = 5;
    const next = (n: number): number => (x = (x * 1103515245 + 12345) & 0x7fffffff) % n;
    for (let i = 0; i < 300; i++) {
      const bytes = Buffer.from(whole);
      for (let n = next(4); n >= 0; n--) bytes[next(bytes.length)] = next(256);
      try {
        assert.equal(
          (await pull(archive(bytes.subarray(0, next(5) === 0 ? next(bytes.length) : bytes.length)))).layers.size,
          2,
        );
      } catch (error) {
        assert.ok(error instanceof TareError, String(error));
      }
    }
  });
});
