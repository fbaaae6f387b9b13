import assert from 'node:assert/strict';
import { mkdtempSync, openSync, closeSync, rmSync, writeFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { isKind } from '../base/errors.ts';
import { mediaTypes } from '../spec/mod.ts';
import { blobsOf, buildImage } from '../../test/support/image.ts';
import { tarOf, type TarEntry } from '../../test/support/tar.ts';
import { openImages } from './open-images.ts';

const temp = mkdtempSync(join(tmpdir(), 'tare-open-images-'));
after(() => rmSync(temp, { recursive: true }));

const image = buildImage({
  layers: [tarOf([{ name: 'a', content: 'a' }])],
  compress: (tar) => tar,
  layerType: mediaTypes.ociLayer,
});
const blobPath = ({ digest }: { digest: string }): string => `blobs/${digest.replace(':', '/')}`;

/** What Docker 25 and newer save: an OCI layout whose blobs manifest.json names, too. */
const hybrid = (annotations: Record<string, string>): TarEntry[] => [
  ...blobsOf(image).map(({ bytes, descriptor }) => ({ name: blobPath(descriptor), content: bytes })),
  { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
  {
    name: 'index.json',
    content: JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [{ ...image.manifest.descriptor, annotations }],
    }),
  },
  {
    name: 'manifest.json',
    content: JSON.stringify([
      {
        Config: blobPath(image.config.descriptor),
        RepoTags: ['busybox:1'],
        Layers: image.layers.map(({ descriptor }) => blobPath(descriptor)),
      },
    ]),
  },
];

const write = (entries: readonly TarEntry[], pack = (tar: Buffer) => tar): string => {
  const path = join(mkdtempSync(join(temp, 'archive-')), 'it.tar');
  writeFileSync(path, pack(tarOf(entries)));
  return path;
};

test('openImages() takes an archive that is both as the OCI layout, with its long names', async () => {
  const names = { 'io.containerd.image.name': 'docker.io/library/busybox:1', 'org.opencontainers.image.ref.name': '1' };
  await using place = await openImages(write(hybrid(names)), { tempDir: temp });
  assert.deepEqual(
    place.images.map((found) => found.names),
    [['docker.io/library/busybox:1']],
  );
  await using source = place.images[0]?.open() ?? assert.fail();
  assert.deepEqual(Buffer.from((await source.topManifest()).bytes), image.manifest.bytes);
});

test('openImages() takes the same archive without the layout as a docker-archive', async () => {
  const entries = hybrid({}).filter(({ name }) => name !== 'oci-layout');
  await using place = await openImages(write(entries, gzipSync), { tempDir: temp });
  assert.deepEqual(
    place.images.map((found) => found.names),
    [['docker.io/library/busybox:1']],
  );
  // Each image is open for itself, and the place stays open.
  for (let i = 0; i < 2; i++) {
    await using source = place.images[0]?.open() ?? assert.fail();
    const { manifest } = await source.topManifest();
    assert.ok(manifest.kind === 'manifest');
    assert.equal(manifest.config.digest, image.config.descriptor.digest);
  }
});

test('openImages() reads from a descriptor, which stays open, and closes what it opened', async () => {
  const fd = openSync(write(hybrid({})), 'r');
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 2; i++) {
    await using place = await openImages(fd, { tempDir: temp });
    assert.deepEqual(
      place.images.map((found) => found.names),
      [[]],
    );
  }
  await assert.rejects(openImages(write([{ name: 'x' }]), { tempDir: temp }), (error) => isKind(error, 'invalid'));
  assert.equal(readdirSync('/proc/self/fd').length, before);
  closeSync(fd);
});
