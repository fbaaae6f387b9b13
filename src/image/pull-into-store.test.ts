import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, existsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isKind } from '../base/errors.ts';
import { hostPlatform, imageIdOf } from '../spec/mod.ts';
import { Store } from '../storage/mod.ts';
import { blobsOf, buildImage, writeLayout } from '../../test/support/image.ts';
import { busyboxImage, debianImage, noBusybox, noDebian } from '../../test/support/images.ts';
import { needs } from '../../test/support/needs.ts';
import { noRegistry, startRegistry } from '../../test/support/registry.ts';
import { tarOf } from '../../test/support/tar.ts';
import { parseImageLocation } from './location.ts';
import { openImageSource } from './open-source.ts';
import { pullImage, type Pulled } from './pull.ts';
import type { ImageRecord } from '../storage/mod.ts';

function tempDir(context: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'tare-pull-store-'));
  context.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const openStore = (dir: string): Promise<Store> =>
  Store.open({ graphRoot: join(dir, 'graph'), runRoot: join(dir, 'run') });

async function pull(text: string, store: Store, parallel = 3): Promise<Pulled<ImageRecord>> {
  await using source = await openImageSource(parseImageLocation(text), { cwd: '/' });
  return await pullImage(source, store, { platform: hostPlatform(process.arch), parallel });
}

/** What staging holds; nothing, unless a pull is on its way. */
const staged = (dir: string): string[] => {
  const path = join(dir, 'graph/overlay/tempdirs');
  return existsSync(path) ? readdirSync(path) : [];
};

test(
  'pullImage() into a containers/storage store: busybox and Debian from a registry, found by name and id, unpacked',
  { skip: needs.root() || noBusybox() || noDebian() || noRegistry() },
  async (context) => {
    const dir = tempDir(context);
    const store = await openStore(dir);
    await using registry = await startRegistry();
    for (const [{ source, name }, file] of [
      [await busyboxImage(), 'bin/busybox'],
      [await debianImage(), 'usr/bin/dpkg'],
    ] as const) {
      registry.push(source, name);
      const pulled = await pull(`${registry.domain}/${name}`, store);
      const image = store.image(`${registry.domain}/${name}:latest`);
      assert.equal(image?.id, imageIdOf(pulled.configDigest));
      const [layer] = store.imageLayers(image);
      assert.equal(layer?.diffId, pulled.config.diffIds[0]);
      assert.ok(statSync(join(store.diffPath(layer?.id ?? ''), file)).size > 100_000);
      assert.deepEqual(staged(dir), []);
      const again = await pull(`${registry.domain}/${name}`, store);
      assert.equal(again.record.id, image.id);
    }
    assert.equal(store.images().length, 2);
  },
);

test('pullImage() that fails in the last layer leaves the store as it was', { skip: needs.root() }, async (context) => {
  const dir = tempDir(context);
  const store = await openStore(dir);
  const image = buildImage({ layers: Array.from({ length: 5 }, (_, i) => tarOf([{ name: `f${i}`, content: 'x' }])) });
  const layout = join(dir, 'layout');
  writeLayout(layout, blobsOf(image), { x: image.manifest });
  const last = join(layout, `blobs/${image.layers[4]?.descriptor.digest.replace(':', '/')}`);
  const good = readFileSync(last);
  rmSync(last);
  await assert.rejects(pull(`oci:${layout}:x`, store), (error) => isKind(error, 'not-found'));
  assert.deepEqual([store.images().length, store.layers().length, staged(dir)], [0, 0, []]);
  const evil = buildImage({ layers: [tarOf([{ name: '../../evil', content: 'x' }])] });
  writeLayout(layout, blobsOf(evil), { evil: evil.manifest });
  await assert.rejects(pull(`oci:${layout}:evil`, store), (error) => isKind(error, 'invalid'));
  assert.deepEqual([store.images().length, store.layers().length, staged(dir)], [0, 0, []]);
  writeLayout(
    layout,
    [...blobsOf(image), { bytes: good, descriptor: image.layers[4]?.descriptor ?? image.manifest.descriptor }],
    { x: image.manifest },
  );
  await pull(`oci:${layout}:x`, store);
  assert.equal(store.layers().length, 5);
});

test('pullImage() of one image twice at a time: both end well, one image', { skip: needs.root() }, async (context) => {
  const dir = tempDir(context);
  const image = buildImage({
    layers: Array.from({ length: 6 }, (_, i) => tarOf([{ name: `f${i}`, content: Buffer.alloc(100_000, i) }])),
  });
  writeLayout(join(dir, 'layout'), blobsOf(image), { x: image.manifest });
  const stores = await Promise.all([openStore(dir), openStore(dir)]);
  await Promise.all(stores.map((store) => pull(`oci:${join(dir, 'layout')}:x`, store)));
  for (const store of stores) assert.deepEqual([store.images().length, store.layers().length], [1, 6]);
  assert.deepEqual(staged(dir), []);
});
