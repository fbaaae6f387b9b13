import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
  closeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { MemoryRegistry } from '../registry/memory.ts';
import { parseReference } from '../spec/mod.ts';
import { noRegistry, startRegistry } from '../../test/support/registry.ts';
import { fdOutput } from './archive-output.ts';
import { destinationContract, one, pieces, topOf, two, type Place } from './destination.suite.ts';
import { dockerArchiveDestination } from './docker-archive-destination.ts';
import { layoutDestination } from './layout-destination.ts';
import { parseImageLocation } from './location.ts';
import { openImageDestination } from './open-destination.ts';
import { openImageSource } from './open-source.ts';
import { registryDestination } from './registry-destination.ts';
import { registrySource } from './registry-source.ts';
import { ImageSource } from './source.ts';

const temp = mkdtempSync(join(tmpdir(), 'tare-destination-'));
after(() => rmSync(temp, { recursive: true }));

let count = 0;
function newDir(): string {
  const dir = join(temp, String(count++));
  mkdirSync(dir);
  return dir;
}

/** A place by its location, in a directory of its own: `location` gets that directory. */
function located(location: (dir: string) => string): Place {
  const dir = newDir();
  const place = parseImageLocation(location(dir));
  const below = (): string[] => readdirSync(dir, { recursive: true, encoding: 'utf8' });
  return {
    open: () => openImageDestination(place, { cwd: dir, tempDir: dir }),
    read: () => openImageSource(place, { cwd: dir, tempDir: dir }),
    leftovers: () => below().filter((path) => path.includes('.tare-')),
  };
}

destinationContract('oci:', () => located((dir) => `oci:${dir}/layout:name:1`));
destinationContract('oci: without a name', () => {
  const place = located((dir) => `oci:${dir}/layout`);
  const dir = join(temp, String(count - 1), 'layout');
  // Without a name an image does not replace another one.
  return { ...place, open: async () => (rmSync(dir, { recursive: true, force: true }), place.open()) };
});
destinationContract('oci-archive:', () => located((dir) => `oci-archive:${dir}/image.tar:name`));
destinationContract(
  'docker-archive:',
  () => located((dir) => `docker-archive:${dir}/image.tar:localhost/name:1`),
  false,
);
destinationContract('dir:', () => located((dir) => `dir:${dir}/image`));
destinationContract('docker:// in memory', () => {
  const registry = new MemoryRegistry();
  const reference = parseReference('registry.test/some/image:1');
  return {
    open: () => registryDestination(reference, {}, registry),
    read: async () => new ImageSource(registrySource(reference, {}, registry)),
    leftovers: () => [],
  };
});

describe('docker:// on docker-registry', { skip: noRegistry() }, async () => {
  if (noRegistry() !== false) return;
  const registry = await startRegistry();
  after(() => registry[Symbol.asyncDispose]());
  destinationContract('docker://', () => located(() => `docker://${registry.domain}/name${count}:1`));

  test('shares blobs of other repositories that the image came from, and refuses another digest', async () => {
    const at = (path: string) => parseReference(`${registry.domain}/${path}`);
    const [layer] = one.layers;
    assert.ok(layer);
    const blob = { digest: layer.descriptor.digest, sizeBytes: layer.descriptor.size };
    {
      await using first = registryDestination(at('mount/from:1'));
      await first.putBlob({ ...blob, kind: 'layer' }, (offset) => pieces(layer.bytes, offset));
    }
    await using second = registryDestination(at('mount/to:1'));
    assert.equal(
      await second.hasBlob(blob, { origins: [parseReference('other.test/mount/from:1'), at('no/such')] }),
      false,
    );
    assert.equal(await second.hasBlob(blob, { origins: [at('no/such'), at('mount/from')] }), true);
    await using third = registryDestination(at(`mount/to@sha256:${'0'.repeat(64)}`));
    await assert.rejects(third.commit(topOf(one.manifest)), (error) => isKind(error, 'failed-precondition'));
    assert.throws(() => registryDestination(at(`x:tag@sha256:${'0'.repeat(64)}`)), /either a tag or a digest/);
  });
});

describe('oci:', () => {
  test('keeps other images and unknown fields of a layout, also when writers come at the same time', async () => {
    const dir = join(newDir(), 'layout');
    const commit = async (name: string): Promise<void> => {
      await using destination = layoutDestination(dir, name, `oci:${dir}:${name}`);
      for (const { bytes, descriptor } of [...one.layers, one.config]) {
        await destination.putBlob({ digest: descriptor.digest, sizeBytes: descriptor.size, kind: 'layer' }, () =>
          pieces(bytes),
        );
      }
      await destination.commit(topOf(one.manifest));
    };
    await commit('first');
    const path = join(dir, 'index.json');
    const index = JSON.parse(readFileSync(path, 'utf8'));
    index.unknown = { kept: true };
    index.manifests[0].unknown = 7;
    writeFileSync(path, JSON.stringify(index));
    await Promise.all(Array.from({ length: 8 }, (_, i) => commit(`name${i}`)));
    const after = JSON.parse(readFileSync(path, 'utf8'));
    assert.deepEqual(after.unknown, { kept: true });
    assert.deepEqual(
      after.manifests
        .map((entry: { annotations: Record<string, string> }) => Object.values(entry.annotations)[0])
        .sort(),
      ['first', ...Array.from({ length: 8 }, (_, i) => `name${i}`)],
    );
    assert.equal(after.manifests[0].unknown, 7);
  });

  test('refuses a directory of something else, and a layout whose index is damaged', async () => {
    const dir = newDir();
    writeFileSync(join(dir, 'letter.txt'), 'x');
    await assert.rejects(
      layoutDestination(dir, 'x', 'oci:x').commit(topOf(one.manifest)),
      /holds letter\.txt and is no OCI layout/,
    );
    assert.deepEqual(readdirSync(dir), ['letter.txt']);
    const damaged = newDir();
    await layoutDestination(damaged, 'x', 'oci:x').commit(topOf(one.manifest));
    writeFileSync(join(damaged, 'index.json'), '{}');
    await assert.rejects(layoutDestination(damaged, 'x', 'oci:x').commit(topOf(one.manifest)), (error) =>
      isKind(error, 'invalid'),
    );
    await assert.rejects(layoutDestination(join(dir, 'no/where'), 'x', 'oci:x').commit(topOf(one.manifest)), (error) =>
      isKind(error, 'not-found'),
    );
  });
});

describe('archives', () => {
  test('go to a descriptor in one stream, and equal images give equal bytes', async () => {
    const dir = newDir();
    const write = async (path: string): Promise<Buffer> => {
      const fd = openSync(path, 'w');
      await using destination = dockerArchiveDestination(fdOutput(fd), ['localhost/x:1'], 'docker-archive:-', dir);
      for (const { bytes, descriptor } of one.layers)
        await destination.putBlob({ digest: descriptor.digest, sizeBytes: descriptor.size, kind: 'layer' }, () =>
          pieces(bytes),
        );
      await destination.putBlob(
        { digest: one.config.descriptor.digest, sizeBytes: one.config.descriptor.size, kind: 'config' },
        () => pieces(one.config.bytes),
      );
      await destination.commit(topOf(one.manifest));
      closeSync(fd);
      return readFileSync(path);
    };
    assert.deepEqual(await write(join(dir, 'a')), await write(join(dir, 'b')));
    const list = execFileSync('tar', ['tf', join(dir, 'a')], { encoding: 'utf8' })
      .trim()
      .split('\n');
    assert.deepEqual(list, [
      ...one.layers.map(({ descriptor }) => `${descriptor.digest.slice(7)}.tar`),
      `${one.config.descriptor.digest.slice(7)}.json`,
      'manifest.json',
    ]);
  });

  test('a blob that has not its size spoils the archive: nothing more is written', async () => {
    const dir = newDir();
    const location = parseImageLocation(`oci-archive:${dir}/x.tar`);
    await using destination = await openImageDestination(location, { cwd: dir, tempDir: dir });
    const [layer] = two.layers;
    assert.ok(layer);
    for (const bytes of [layer.bytes.subarray(1), Buffer.concat([layer.bytes, layer.bytes])])
      await assert.rejects(
        destination.putBlob({ digest: layer.descriptor.digest, sizeBytes: layer.descriptor.size, kind: 'layer' }, () =>
          pieces(bytes),
        ),
        /has not the|earlier part/,
      );
    await assert.rejects(
      destination.commit(topOf(two.manifest)),
      (error) => isKind(error, 'failed-precondition') || isKind(error, 'invalid'),
    );
    assert.ok(!existsSync(join(dir, 'x.tar')));
  });

  test('need a directory that is there', async () => {
    const open = (text: string) => openImageDestination(parseImageLocation(text), { cwd: temp });
    await assert.rejects(open('oci-archive:no/where.tar'), (error) => isKind(error, 'not-found'));
    await assert.rejects(open(`docker-archive:${temp}`), /it is a directory/);
    await assert.rejects(open('docker-archive:x.tar:@1'), /chooses an image to read/);
  });
});

describe('dir:', () => {
  test('refuses a directory that holds something else', async () => {
    const dir = newDir();
    writeFileSync(join(dir, 'letter.txt'), 'x');
    await using destination = await openImageDestination(parseImageLocation(`dir:${dir}`), { cwd: temp });
    await assert.rejects(destination.commit(topOf(one.manifest)), /not empty and holds no image/);
    assert.deepEqual(readdirSync(dir), ['letter.txt']);
  });
});
