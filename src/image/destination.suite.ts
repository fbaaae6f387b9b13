/** What every ImageDestination promises, as tests that each implementation runs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TareError, isKind } from '../base/errors.ts';
import { collect } from '../registry/verified.ts';
import { mediaTypes, parsePlatform, type Digest } from '../spec/mod.ts';
import { buildImage, buildIndex, hostArchitecture, type Blob, type BuiltImage } from '../../test/support/image.ts';
import { tarOf } from '../../test/support/tar.ts';
import type { ImageDestination, ManifestToPut } from './destination.ts';
import { resolveImage } from './pull.ts';
import type { ImageSource } from './source.ts';

/** A place of its own for one test. */
export interface Place {
  open(): Promise<ImageDestination> | ImageDestination;
  /** Errors: `not-found` when no image is there. */
  read(): Promise<ImageSource>;
  /** Names of files that should not be there once everything is disposed. */
  leftovers(): string[];
}

export const platform = parsePlatform(`linux/${hostArchitecture()}`);
const plain = (label: string): BuiltImage =>
  buildImage({
    layers: [
      tarOf([{ name: 'a', content: `first of ${label}` }]),
      tarOf([{ name: 'b', content: Buffer.alloc(700_000, label) }]),
    ],
    compress: (tar) => tar,
    layerType: mediaTypes.dockerLayer,
    config: { Labels: { label } },
  });

export const one = plain('one');
export const two = plain('two');

/** The bytes in pieces. */
export async function* pieces(bytes: Uint8Array, from = 0): AsyncGenerator<Uint8Array> {
  for (let at = from; at < bytes.length; at += 65_521) yield bytes.subarray(at, at + 65_521);
}

export const topOf = ({ bytes, descriptor }: Blob): ManifestToPut => ({
  bytes,
  mediaType: descriptor.mediaType,
  digest: descriptor.digest,
});

const put = (destination: ImageDestination, { bytes, descriptor }: Blob, kind: 'config' | 'layer'): Promise<void> =>
  destination.putBlob({ digest: descriptor.digest, sizeBytes: descriptor.size, kind }, (offset) =>
    pieces(bytes, offset),
  );

async function write(destination: ImageDestination, image: BuiltImage): Promise<void> {
  await Promise.all(image.layers.map((layer) => put(destination, layer, 'layer')));
  await put(destination, image.config, 'config');
}

const identity = ({ descriptor }: Blob): { digest: Digest; sizeBytes: number } => ({
  digest: descriptor.digest,
  sizeBytes: descriptor.size,
});

const isEmpty = (place: Place): Promise<void> =>
  assert.rejects(
    async () => {
      await using source = await place.read();
      await source.topManifest();
    },
    (error) => isKind(error, 'not-found'),
  );

async function holds(place: Place, image: BuiltImage): Promise<void> {
  await using source = await place.read();
  const { manifest } = await resolveImage(source, platform);
  const all = [image.config, ...image.layers];
  for (const [index, descriptor] of [manifest.config, ...manifest.layers].entries()) {
    assert.equal(descriptor.digest, all[index]?.descriptor.digest);
    assert.deepEqual(await collect(source.blob(descriptor), 2 ** 20, 'blob'), all[index]?.bytes);
  }
  assert.equal(manifest.layers.length, image.layers.length);
}

/** Defines the tests. `keeps`: the place gives back manifests as they were put. */
export function destinationContract(name: string, make: () => Place | Promise<Place>, keeps = true): void {
  describe(`the contract of ImageDestination: ${name}`, () => {
    test('an image is there after commit, byte for byte, and not before', async () => {
      const place = await make();
      {
        await using destination = await place.open();
        await write(destination, one);
        await isEmpty(place);
        await destination.commit(topOf(one.manifest));
        await holds(place, one);
      }
      await holds(place, one);
      if (keeps) {
        await using source = await place.read();
        assert.deepEqual(Buffer.from((await source.topManifest()).bytes), one.manifest.bytes);
      }
      assert.deepEqual(place.leftovers(), []);
    });

    test('disposing without commit abandons it', async () => {
      const place = await make();
      {
        await using destination = await place.open();
        await write(destination, one);
      }
      await isEmpty(place);
      assert.deepEqual(place.leftovers(), []);
    });

    test('an image takes the place of one with the same name', async () => {
      const place = await make();
      for (const image of [one, two]) {
        await using destination = await place.open();
        await write(destination, image);
        await destination.commit(topOf(image.manifest));
      }
      await holds(place, two);
      assert.deepEqual(place.leftovers(), []);
    });

    test('hasBlob() says what was put; putting it twice is no error', async () => {
      const place = await make();
      await using destination = await place.open();
      const [layer] = one.layers;
      assert.ok(layer);
      assert.equal(await destination.hasBlob(identity(layer)), false);
      await put(destination, layer, 'layer');
      assert.equal(await destination.hasBlob(identity(layer)), true);
      await put(destination, layer, 'layer');
      await write(destination, one);
      await destination.commit(topOf(one.manifest));
      await holds(place, one);
    });

    test('streamBlob() takes blobs whose identity is known at their end', async () => {
      const place = await make();
      {
        await using destination = await place.open();
        for (const layer of [...one.layers, ...one.layers]) {
          let ended = false;
          const body = async function* (): AsyncGenerator<Uint8Array> {
            yield* pieces(layer.bytes);
            ended = true;
          };
          await destination.streamBlob(body(), () => {
            assert.ok(ended, 'finish() was called before the end of the body');
            return identity(layer);
          });
          assert.equal(await destination.hasBlob(identity(layer)), true);
        }
        await put(destination, one.config, 'config');
        await destination.commit(topOf(one.manifest));
      }
      await holds(place, one);
      assert.deepEqual(place.leftovers(), []);
    });

    test('a body that fails fails the call with its error, and nothing is kept', async () => {
      const place = await make();
      {
        await using destination = await place.open();
        const [, layer] = one.layers;
        assert.ok(layer);
        const body = async function* (): AsyncGenerator<Uint8Array> {
          yield layer.bytes.subarray(0, 100_000);
          throw new TareError('invalid', 'not what was promised');
        };
        const isOurs = (error: unknown): boolean =>
          isKind(error, 'invalid') && /not what was promised/.test(String(error));
        await assert.rejects(destination.putBlob({ ...identity(layer), kind: 'layer' }, body), isOurs);
        await assert.rejects(
          destination.streamBlob(body(), () => assert.fail('finish() of a body that failed')),
          (error) => isOurs(error) || isKind(error, 'failed-precondition'),
        );
      }
      await isEmpty(place);
      assert.deepEqual(place.leftovers(), []);
    });

    test('an index is held with its images, or refused', async () => {
      const place = await make();
      const index = buildIndex([
        { image: two, architecture: 's390x' },
        { image: one, architecture: hostArchitecture() },
      ]);
      await using destination = await place.open();
      for (const image of [one, two]) {
        await write(destination, image);
        const putting = destination.putManifest(topOf(image.manifest));
        if (destination.takes.indexes) await putting;
        else {
          await assert.rejects(putting, (error) => isKind(error, 'unsupported'));
          return;
        }
      }
      await destination.commit(topOf(index));
      await holds(place, one);
    });
  });
}
