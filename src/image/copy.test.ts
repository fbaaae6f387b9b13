import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gunzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { isKind } from '../base/errors.ts';
import { MemoryRegistry } from '../registry/memory.ts';
import { collect } from '../registry/verified.ts';
import { mediaTypes, parseManifest, parseReference, type Descriptor, type ImageManifest } from '../spec/mod.ts';
import {
  blobOf,
  blobsOf,
  buildImage,
  buildIndex,
  hostArchitecture,
  writeLayout,
  type BuiltImage,
} from '../../test/support/image.ts';
import { tarOf } from '../../test/support/tar.ts';
import { copyImage, type Copied, type CopyOptions } from './copy.ts';
import { platform } from './destination.suite.ts';
import { parseImageLocation } from './location.ts';
import { openImageDestination } from './open-destination.ts';
import { openImageSource } from './open-source.ts';
import type { PullEvent } from './pull.ts';
import { registryDestination } from './registry-destination.ts';
import { registrySource } from './registry-source.ts';
import { ImageSource } from './source.ts';

const temp = mkdtempSync(join(tmpdir(), 'tare-copy-'));
after(() => rmSync(temp, { recursive: true }));

const tars = [
  tarOf([{ name: 'a', content: 'first' }]),
  tarOf([{ name: 'b', content: Buffer.alloc(3_000_000, 'b') }]),
  tarOf([{ name: '.wh.a' }]),
];
const image = buildImage({ layers: [...tars, tars[0] ?? Buffer.alloc(0)] });
const zstd = buildImage({ layers: tars, compress: (tar) => zstdCompressSync(tar), layerType: mediaTypes.ociLayerZstd });
const other = buildImage({ layers: [tars[0] ?? Buffer.alloc(0)], architecture: 's390x' });
const index = buildIndex([
  { image: other, architecture: 's390x' },
  { image, architecture: hostArchitecture() },
]);
/** Names of the layout that all tests read. */
writeLayout(join(temp, 'from'), [...blobsOf(image), ...blobsOf(zstd), ...blobsOf(other), index], {
  image: image.manifest,
  zstd: zstd.manifest,
  index,
});

let count = 0;
const newPath = (): string => join(temp, `to${count++}`);

async function copy(from: string, to: string, options: Partial<CopyOptions> = {}): Promise<Copied> {
  const places = { cwd: temp, tempDir: temp };
  await using source = await openImageSource(parseImageLocation(from), places);
  await using destination = await openImageDestination(parseImageLocation(to), places);
  return await copyImage(source, destination, { platform, ...options });
}

async function read(
  from: string,
): Promise<{ manifest: ImageManifest; blob: (descriptor: Descriptor) => Promise<Buffer> }> {
  const source = await openImageSource(parseImageLocation(from), { cwd: temp, tempDir: temp });
  const { manifest } = await source.topManifest();
  assert.equal(manifest.kind, 'manifest');
  return {
    manifest,
    blob: async (descriptor) => Buffer.from(await collect(source.blob(descriptor), 2 ** 28, 'blob')),
  };
}

describe('copyImage()', () => {
  test('keeps every byte between places that hold manifests', async () => {
    const archive = `${newPath()}.tar`;
    const steps = [
      'oci:from:image',
      `oci:${newPath()}:x`,
      `dir:${newPath()}`,
      `oci-archive:${archive}:y`,
      `oci:${newPath()}`,
    ];
    for (const [at, to] of steps.slice(1).entries()) {
      const { manifest, isSame } = await copy(steps[at] ?? '', to);
      assert.deepEqual([manifest.digest, isSame], [image.manifest.descriptor.digest, true]);
      assert.deepEqual(Buffer.from(manifest.bytes), image.manifest.bytes);
    }
  });

  test('goes through docker-archive and back with the same config and layers', async () => {
    for (const name of ['image', 'zstd']) {
      const source = name === 'image' ? image : zstd;
      const archive = `docker-archive:${newPath()}.tar:localhost/x:1`;
      assert.equal((await copy(`oci:from:${name}`, archive)).isSame, false);
      const { manifest, blob } = await read(archive);
      assert.equal(manifest.mediaType, mediaTypes.dockerManifest);
      assert.equal(manifest.config.digest, source.config.descriptor.digest);
      assert.deepEqual(
        manifest.layers.map(({ digest }) => digest),
        source.diffIds,
      );
      for (const [place, layer] of manifest.layers.entries())
        assert.deepEqual(await blob(layer), [...tars, tars[0]][place]);
      const back = await copy(archive, `oci:${newPath()}:x`, {
        format: 'oci',
        compression: { format: 'gzip', force: true },
      });
      assert.equal(parseManifest(back.manifest.bytes).mediaType, mediaTypes.ociManifest);
    }
  });

  test('compresses as asked, the same every time, and says what it wrote', async () => {
    for (const [format, unpack] of [
      ['gzip', gunzipSync],
      ['zstd', zstdDecompressSync],
    ] as const) {
      const from = format === 'gzip' ? 'oci:from:zstd' : 'oci:from:image';
      const to = [`oci:${newPath()}:x`, `dir:${newPath()}`] as const;
      const results = [];
      for (const place of to) results.push(await copy(from, place, { compression: { format, force: true, level: 3 } }));
      assert.equal(results[0]?.manifest.digest, results[1]?.manifest.digest);
      assert.equal(results[0]?.isSame, false);
      const { manifest, blob } = await read(to[0]);
      for (const [place, layer] of manifest.layers.entries()) {
        assert.equal(layer.mediaType, format === 'gzip' ? mediaTypes.ociLayerGzip : mediaTypes.ociLayerZstd);
        assert.deepEqual(unpack(await blob(layer)), [...tars, tars[0]][place]);
      }
    }
    // Layers that are compressed in this way are left alone.
    assert.ok(
      (await copy('oci:from:image', `oci:${newPath()}:x`, { compression: { format: 'gzip', force: true } })).isSame,
    );
  });

  test('converts manifests between the families; zstd becomes gzip for Docker', async () => {
    const docker = `dir:${newPath()}`;
    await copy('oci:from:image', docker, { format: 'v2s2' });
    const { manifest } = await read(docker);
    assert.equal(manifest.mediaType, mediaTypes.dockerManifest);
    assert.equal(manifest.config.mediaType, mediaTypes.dockerConfig);
    assert.deepEqual(
      manifest.layers.map(({ mediaType, digest }) => [mediaType, digest]),
      image.layers.map(({ descriptor }) => [mediaTypes.dockerLayerGzip, descriptor.digest]),
    );
    const back = await copy(docker, `oci:${newPath()}:x`, { format: 'oci' });
    assert.deepEqual(Buffer.from(back.manifest.bytes), image.manifest.bytes);
    const packed = `dir:${newPath()}`;
    await copy('oci:from:zstd', packed, { format: 'v2s2' });
    assert.ok((await read(packed)).manifest.layers.every(({ mediaType }) => mediaType === mediaTypes.dockerLayerGzip));
    await assert.rejects(
      copy('oci:from:image', `dir:${newPath()}`, { format: 'v2s2', compression: { format: 'zstd', force: true } }),
      (error) => isKind(error, 'unsupported'),
    );
  });

  test('copies a whole index with all, and one image of it without', async () => {
    const all = `oci:${newPath()}:x`;
    const { manifest } = await copy('oci:from:index', all, { all: true });
    assert.deepEqual(Buffer.from(manifest.bytes), index.bytes);
    assert.equal((await copy(all, `dir:${newPath()}`)).manifest.digest, image.manifest.descriptor.digest);
    const dir = `dir:${newPath()}`;
    const converted = await copy(all, dir, { all: true, format: 'v2s2' });
    assert.equal(converted.manifest.mediaType, mediaTypes.dockerList);
    assert.equal(
      (await copy(dir, `oci:${newPath()}`, { format: 'oci' })).manifest.digest,
      image.manifest.descriptor.digest,
    );
    await assert.rejects(copy('oci:from:index', `docker-archive:${newPath()}`, { all: true }), /not an index/);
  });

  test('sends no blob that is there, one of several equal layers, and says what happened', async () => {
    const path = newPath();
    const events: PullEvent[] = [];
    await copy('oci:from:image', `oci:${path}:x`, { progress: (event) => events.push(event) });
    const of = (phase: PullEvent['phase']): number => events.filter((event) => event.phase === phase).length;
    assert.deepEqual([of('resolved'), of('layer-done'), of('present'), of('commit')], [1, 3, 1, 1]);
    const last = events.findLast((event) => event.phase === 'layer' && event.index === 1);
    assert.ok(last?.phase === 'layer' && last.bytes === last.total);
    events.length = 0;
    await copy('oci:from:image', `oci:${path}:y`, { progress: (event) => events.push(event) });
    assert.deepEqual([of('layer-done'), of('present')], [0, 4]);
  });

  test('copies an artifact as it is, and refuses to convert it', async () => {
    const registry = new MemoryRegistry();
    const data = blobOf('some data', 'application/octet-stream');
    const config = blobOf('{}', 'application/vnd.oci.empty.v1+json');
    const manifest = blobOf(
      {
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        artifactType: 'application/x',
        config: config.descriptor,
        layers: [data.descriptor],
      },
      mediaTypes.ociManifest,
    );
    writeLayout(join(temp, 'artifact'), [data, config, manifest], { it: manifest });
    const reference = parseReference('registry.test/artifact:1');
    await using source = await openImageSource(parseImageLocation('oci:artifact:it'), { cwd: temp });
    await using destination = registryDestination(reference, {}, registry);
    assert.ok((await copyImage(source, destination, { platform })).isSame);
    await using there = new ImageSource(registrySource(reference, {}, registry));
    assert.deepEqual(Buffer.from((await there.topManifest()).bytes), manifest.bytes);
    await assert.rejects(copy('oci:artifact:it', `docker-archive:${newPath()}`), (error) =>
      isKind(error, 'unsupported'),
    );
  });

  test('a wrong source leaves nothing at the destination', async () => {
    const spoil = (
      parts: Partial<Parameters<typeof buildImage>[0]>,
      change?: (bad: BuiltImage, dir: string) => void,
    ): string => {
      const bad = buildImage({ layers: tars, ...parts });
      const dir = newPath();
      writeLayout(dir, blobsOf(bad), { x: bad.manifest });
      change?.(bad, dir);
      return `oci:${dir}:x`;
    };
    const layerFile = (bad: BuiltImage, dir: string): string =>
      join(dir, 'blobs', (bad.layers[1]?.descriptor.digest ?? '').replace(':', '/'));
    const cases: Record<string, string> = {
      'flipped byte': spoil({}, (bad, dir) => {
        const bytes = Buffer.from(bad.layers[1]?.bytes ?? []);
        bytes[1000] = (bytes[1000] ?? 0) ^ 1;
        writeFileSync(layerFile(bad, dir), bytes);
      }),
      'missing layer': spoil({}, (bad, dir) => rmSync(layerFile(bad, dir))),
      'wrong diffIds': spoil({ diffIds: image.diffIds.slice(0, 3).toReversed() }),
    };
    for (const [what, from] of Object.entries(cases)) {
      for (const transport of ['docker-archive', 'oci-archive', 'oci', 'dir']) {
        const path = newPath();
        // A wrong diffId shows when a layer is unpacked on the way.
        if (what === 'wrong diffIds' && transport !== 'docker-archive') continue;
        await assert.rejects(
          copy(from, `${transport}:${path}`),
          (error) => isKind(error, what === 'missing layer' ? 'not-found' : 'invalid'),
          `${what} to ${transport}`,
        );
        assert.ok(
          !existsSync(transport === 'oci' ? join(path, 'blobs', image.manifest.descriptor.digest) : path),
          `${what} to ${transport}`,
        );
        if (transport === 'oci')
          assert.deepEqual(JSON.parse(readFileSync(join(path, 'index.json'), 'utf8')).manifests, []);
      }
    }
  });

  test('stops when it is cancelled', async () => {
    const abort = new AbortController();
    const path = newPath();
    mkdirSync(path);
    const copying = copy('oci:from:image', `oci-archive:${path}/x.tar`, {
      signal: abort.signal,
      progress: () => abort.abort(),
    });
    await assert.rejects(copying, (error) => isKind(error, 'cancelled'));
    assert.ok(!existsSync(join(path, 'x.tar')));
  });
});
