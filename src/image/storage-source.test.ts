import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { TareError, isKind, type ErrorKind } from '../base/errors.ts';
import { MemoryRegistry } from '../registry/memory.ts';
import { collect } from '../registry/verified.ts';
import { mediaTypes, parseReference } from '../spec/mod.ts';
import { Store, type ImageRecord } from '../storage/mod.ts';
import { blobsOf, buildImage, writeLayout, type BuiltImage } from '../../test/support/image.ts';
import { needs } from '../../test/support/needs.ts';
import { randomLayer } from '../../test/support/random-layer.ts';
import { tarOf } from '../../test/support/tar.ts';
import { MemoryBlobCache, type BlobCache } from './blob-cache.ts';
import { compressedBlobsIn } from './compressed-blobs.ts';
import { copyImage, type Copied, type CopyOptions } from './copy.ts';
import { platform } from './destination.suite.ts';
import { parseImageLocation } from './location.ts';
import { openImageDestination } from './open-destination.ts';
import { openImageSource } from './open-source.ts';
import { pullImage } from './pull.ts';
import { registryDestination } from './registry-destination.ts';
import { ImageSource } from './source.ts';
import { storageSource } from './storage-source.ts';

const temp = mkdtempSync(join(tmpdir(), 'tare-stored-'));
after(() => {
  spawnSync('umount', ['-l', join(temp, 'graph/overlay')]);
  rmSync(temp, { recursive: true, force: true });
});
const name = 'registry.test/from/here:1';

const layers = [
  tarOf([
    { name: 'etc/', type: 'directory' },
    { name: 'etc/motd', content: 'hello' },
    { name: 'etc/copy', type: 'hardlink', link: 'etc/motd' },
    { name: 'etc/link', type: 'symlink', link: '/nowhere' },
    { name: 'empty' },
    { name: 'large', content: Buffer.alloc(1_500_000, 'large') },
    { name: 'dir', type: 'symlink', link: 'etc' },
    { name: 'ümlaut', content: 'x', pax: { 'SCHILY.xattr.user.mark': 'a' } },
  ]),
  tarOf([{ name: 'etc/.wh.motd' }, { name: 'dir/through', content: 'a link of the layer below is not followed here' }]),
];
const image = buildImage({ layers });

describe('an image of the store', { skip: needs.root() }, async () => {
  if (needs.root() !== false) return;
  const store = await Store.open({ graphRoot: join(temp, 'graph'), runRoot: join(temp, 'run') });

  async function add(built: BuiltImage, as = name): Promise<ImageRecord> {
    const dir = mkdtempSync(join(temp, 'layout-'));
    writeLayout(dir, blobsOf(built), { x: built.manifest });
    await using source = await openImageSource(parseImageLocation(`oci:${dir}:x`), { cwd: temp });
    return (await pullImage(source, store, { platform, names: [as] })).record;
  }

  async function push(
    to: string,
    registry: MemoryRegistry,
    cache?: BlobCache,
    options: Partial<CopyOptions> = {},
  ): Promise<Copied> {
    const record = store.image(name);
    assert.ok(record);
    await using source = new ImageSource(storageSource({ store, image: record, name }, cache));
    await using destination = registryDestination(parseReference(to), {}, registry);
    return await copyImage(source, destination, { platform, ...options });
  }

  const fails = (promise: Promise<unknown>, kind: ErrorKind, message: RegExp): Promise<void> =>
    assert.rejects(promise, (error) => {
      assert.ok(isKind(error, kind), String(error));
      assert.match(error.message, message);
      return true;
    });

  await add(image);

  test('goes to a registry that has its layers, or where they can be shared from, with the same digest', async () => {
    const registry = new MemoryRegistry();
    const from = parseReference(name).path;
    for (const { bytes } of image.layers) registry.addBlob(from, bytes);
    const { manifest, isSame } = await push('registry.test/to/there:2', registry);
    assert.deepEqual([manifest.digest, isSame], [image.manifest.descriptor.digest, true]);
    assert.deepEqual(Buffer.from(manifest.bytes), image.manifest.bytes);
    // To its own name: not even sharing is needed.
    assert.ok((await push(name, registry)).isSame);
  });

  test('goes with its original blobs where a cache has them; a cache that lies is found out and not used', async () => {
    const cache = new MemoryBlobCache();
    for (const { bytes, descriptor } of image.layers) cache.add(descriptor.digest, bytes);
    const registry = new MemoryRegistry();
    assert.ok((await push('registry.test/cached:1', registry, cache)).isSame);
    const { bytes } = await registry.getManifest(
      parseReference('registry.test/cached').path,
      image.manifest.descriptor.digest,
    );
    assert.deepEqual(Buffer.from(bytes), image.manifest.bytes);
    const lying = new MemoryBlobCache();
    for (const { bytes: layer, descriptor } of image.layers) lying.add(descriptor.digest, Buffer.alloc(layer.length));
    const { manifest, isSame } = await push('registry.test/lying:1', new MemoryRegistry(), lying);
    assert.equal(isSame, false);
    assert.equal(manifest.digest, (await push('registry.test/none:1', new MemoryRegistry())).manifest.digest);
  });

  test('is compressed anew where nobody has its blobs: another digest, the same config, the same every time', async () => {
    const registry = new MemoryRegistry();
    const { manifest, isSame } = await push('registry.test/new:1', registry);
    assert.equal(isSame, false);
    assert.equal((await push('registry.test/other:1', new MemoryRegistry())).manifest.digest, manifest.digest);
    const parsed = JSON.parse(Buffer.from(manifest.bytes).toString());
    assert.equal(parsed.config.digest, image.config.descriptor.digest);
    assert.deepEqual(
      parsed.layers.map((layer: { mediaType: string }) => layer.mediaType),
      [mediaTypes.ociLayerGzip, mediaTypes.ociLayerGzip],
    );
    const packed = await push('registry.test/zstd:1', registry, undefined, {
      compression: { format: 'zstd', force: true },
    });
    assert.equal(
      JSON.parse(Buffer.from(packed.manifest.bytes).toString()).layers[0].mediaType,
      mediaTypes.ociLayerZstd,
    );
  });

  test('is sent again when the connection breaks, and not without end', async () => {
    class Flaky extends MemoryRegistry {
      breaks = 0;
      override async streamBlob(
        ...[repository, body, finish, options]: Parameters<MemoryRegistry['streamBlob']>
      ): Promise<void> {
        if (this.breaks === 0) return super.streamBlob(repository, body, finish, options);
        this.breaks--;
        for await (const _ of body) throw new TareError('unavailable', 'the line is dead');
      }
    }
    const registry = new Flaky();
    registry.breaks = 2;
    await push('registry.test/flaky:1', registry, undefined, { parallel: 1 });
    assert.equal(registry.breaks, 0);
    registry.breaks = 3;
    await fails(push('registry.test/dead:1', registry, undefined, { parallel: 1 }), 'unavailable', /line is dead/);
  });

  test('is not compressed a second time for a place that has what it became', async () => {
    const ours = new MemoryRegistry();
    const compressedBlobs = compressedBlobsIn(join(temp, 'compressed'));
    const phases = async (to: string, registry = ours): Promise<string> => {
      const events: string[] = [];
      const { manifest } = await push(to, registry, undefined, {
        compressedBlobs,
        progress: ({ phase }) => (phase === 'present' || phase === 'layer-done' ? events.push(phase) : undefined),
      });
      return `${manifest.digest} ${events.sort().join(' ')}`;
    };
    const first = await phases('registry.test/again:1');
    assert.match(first, / layer-done layer-done$/);
    assert.equal(await phases('registry.test/again:2'), first.replaceAll('layer-done', 'present'));
    // Another repository shares it; another registry does not have it, whatever we remember.
    assert.equal(await phases('registry.test/elsewhere:1'), first.replaceAll('layer-done', 'present'));
    assert.equal(await phases('other.test/elsewhere:1', new MemoryRegistry()), first);
    for (const file of readdirSync(join(temp, 'compressed'))) writeFileSync(join(temp, 'compressed', file), 'nonsense');
    assert.equal(await phases('registry.test/again:3'), first);
  });

  test('goes into a docker-archive as the tars it was', async () => {
    const record = store.image(name);
    assert.ok(record);
    const place = parseImageLocation(`docker-archive:${temp}/saved.tar:x:1`);
    await using source = new ImageSource(storageSource({ store, image: record }));
    // No layer has to wait in a temporary file.
    await using destination = await openImageDestination(place, { cwd: temp, tempDir: '/nowhere' });
    await copyImage(source, destination, { platform });
    await using saved = await openImageSource(place, { cwd: temp });
    const { manifest } = await saved.topManifest();
    assert.ok(manifest.kind === 'manifest');
    for (const [index, layer] of manifest.layers.entries()) {
      assert.equal(layer.digest, image.diffIds[index]);
      assert.deepEqual(Buffer.from(await collect(saved.blob(layer), 2 ** 28, 'layer')), layers[index]);
    }
  });

  test('whose files were changed or are gone is not given out', async () => {
    const damaged = buildImage({
      layers: [
        tarOf([
          { name: 'file', content: 'content of a file' },
          { name: 'large', content: Buffer.alloc(600_000, 1) },
        ]),
      ],
    });
    const record = await add(damaged, 'localhost/damaged:1');
    const [layer] = store.imageLayers(record);
    assert.ok(layer);
    const read = async (): Promise<void> => {
      await using source = new ImageSource(storageSource({ store, image: record }));
      for await (const _ of source.layerTar(0)?.open() ?? []);
    };
    await read();
    const file = join(store.diffPath(layer.id), 'file');
    const large = join(store.diffPath(layer.id), 'large');
    writeFileSync(file, 'CONTENT of a file');
    await fails(read(), 'invalid', /digest/);
    writeFileSync(file, 'content of a file, and more');
    await read(); // Only what the tar had is read.
    writeFileSync(file, 'short');
    await fails(read(), 'failed-precondition', /"file" was changed/);
    unlinkSync(file);
    spawnSync('ln', ['-s', '/etc/passwd', file]);
    await fails(read(), 'failed-precondition', /ELOOP|changed/);
    unlinkSync(file);
    await fails(read(), 'failed-precondition', /ENOENT/);
    writeFileSync(file, 'content of a file');
    await read();
    writeFileSync(large, 'x');
    await fails(read(), 'failed-precondition', /"large" was changed/);
    const split = store.tarSplitPath(layer.id);
    const good = readFileSync(split);
    writeFileSync(split, good.subarray(0, good.length >> 1));
    await fails(read(), 'failed-precondition', /Cannot rebuild layer/);
    unlinkSync(split);
    await fails(read(), 'failed-precondition', /no tar-split/);
  });

  test('any tree comes out of the store as the tar it went in', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const tar = randomLayer(seed);
      const record = await add(
        buildImage({ layers: [tar], config: { Labels: { seed: String(seed) } } }),
        `localhost/tree:${seed}`,
      );
      const place = parseImageLocation(`docker-archive:${temp}/tree${seed}.tar`);
      {
        await using source = new ImageSource(storageSource({ store, image: record }));
        await using destination = await openImageDestination(place, { cwd: temp });
        await copyImage(source, destination, { platform });
      }
      await using saved = await openImageSource(place, { cwd: temp });
      const { manifest } = await saved.topManifest();
      assert.ok(manifest.kind === 'manifest');
      const [layer] = manifest.layers;
      assert.ok(layer);
      assert.deepEqual(Buffer.from(await collect(saved.blob(layer), 2 ** 28, 'layer')), tar, `seed ${seed}`);
      // And it goes in again as the same image.
      const { record: again } = await pullImage(saved, store, { platform, names: [] });
      assert.equal(again.id, record.id);
    }
  });
});
