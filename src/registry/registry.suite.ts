/** The contract of Registry: what every implementation has to do alike. A test file calls `registrySuite` once for each. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { mediaTypes, parseRepositoryPath, parseTag, type Digest, type RepositoryPath, type Tag } from '../spec/mod.ts';
import { blobOf, blobsOf, buildImage, buildIndex, type Blob, type BuiltImage } from '../../test/support/image.ts';
import { tarOf } from '../../test/support/tar.ts';
import { RegistryError, type RegistryCode } from './error.ts';
import type { BlobIdentity, Registry } from './registry.ts';
import { collect, digestOf, verified } from './verified.ts';

/** What a registry under test holds, in one repository: two images and an index of both, by three tags. */
export interface RegistryContents {
  readonly repository: RepositoryPath;
  readonly tags: Readonly<Record<'one' | 'two' | 'index', Blob>>;
  readonly images: readonly [BuiltImage, BuiltImage];
  readonly blobs: readonly Blob[];
  /** A layer of 3 MiB, which arrives in many pieces. */
  readonly large: Blob;
}

/** Contents that are the same for every implementation in one run. */
export function registryContents(): RegistryContents {
  const noise = randomBytes(3 * 1024 * 1024);
  const one = buildImage({ layers: [tarOf([{ name: 'noise', content: noise }])], architecture: 'amd64' });
  const two = buildImage({
    layers: [tarOf([{ name: 'a', content: 'a' }]), tarOf([{ name: 'b', content: 'b' }])],
    architecture: 'arm64',
  });
  const index = buildIndex([
    { image: one, architecture: 'amd64' },
    { image: two, architecture: 'arm64', variant: 'v8' },
  ]);
  const large = one.layers[0] ?? blobOf('', '');
  return {
    repository: parseRepositoryPath('team/sub/app'),
    tags: { one: one.manifest, two: two.manifest, index },
    images: [one, two],
    blobs: [...blobsOf(one), ...blobsOf(two), index],
    large,
  };
}

/** Runs the contract against what `open` gives: a registry that holds `contents`. */
export function registrySuite(
  name: string,
  contents: RegistryContents,
  open: () => Promise<AsyncDisposable & { readonly registry: Registry }>,
  options: { skip?: string | false } = {},
): void {
  const { repository, tags, large } = contents;
  const tag = (text: string): Tag => parseTag(text);
  const absent = `sha256:${'0'.repeat(64)}` as Digest;
  const fails = (promise: Promise<unknown>, ...codes: RegistryCode[]): Promise<void> =>
    assert.rejects(
      promise,
      (error) =>
        error instanceof RegistryError && codes.includes(error.code as RegistryCode) && isKind(error, 'not-found'),
    );

  describe(`Registry contract: ${name}`, { skip: options.skip ?? false }, () => {
    const run = (title: string, body: (registry: Registry) => Promise<void>): void =>
      void test(title, async () => {
        await using opened = await open();
        await body(opened.registry);
      });

    run('getManifest() gives the exact bytes by tag and by digest, with type and digest', async (registry) => {
      for (const [name, { bytes, descriptor }] of Object.entries(tags)) {
        for (const reference of [tag(name), descriptor.digest]) {
          const got = await registry.getManifest(repository, reference);
          assert.deepEqual(Buffer.from(got.bytes), bytes);
          assert.equal(got.mediaType, descriptor.mediaType);
          assert.equal(got.digest, descriptor.digest);
        }
      }
    });

    run('headManifest() agrees with getManifest()', async (registry) => {
      const { digest, size } = tags.index.descriptor;
      const expected = { mediaType: mediaTypes.ociIndex, digest, sizeBytes: size };
      assert.deepEqual(await registry.headManifest(repository, tag('index')), expected);
      assert.deepEqual(await registry.headManifest(repository, digest), expected);
    });

    run('getBlob() gives every blob whole, in pieces, with its size', async (registry) => {
      for (const { bytes, descriptor } of contents.images.flatMap((image) => [image.config, ...image.layers])) {
        const { sizeBytes, body } = await registry.getBlob(repository, descriptor.digest);
        assert.equal(sizeBytes, descriptor.size);
        const got = await collect(verified(body, descriptor, 'blob'), descriptor.size, 'blob');
        assert.deepEqual(Buffer.from(got), bytes);
      }
      let pieces = 0;
      for await (const _ of (await registry.getBlob(repository, large.descriptor.digest)).body) pieces++;
      assert.ok(pieces > 10, `${pieces} pieces`);
    });

    run('getBlob() starts at an offset, up to the very end, and refuses to start behind it', async (registry) => {
      const { digest, size } = large.descriptor;
      for (const offset of [0, 1, 65536, size - 1, size]) {
        const { sizeBytes, body } = await registry.getBlob(repository, digest, { offset });
        assert.equal(sizeBytes, size);
        assert.equal(
          digestOf(await collect(body, size, 'blob')),
          digestOf(large.bytes.subarray(offset)),
          `offset ${offset}`,
        );
      }
      await assert.rejects(
        registry.getBlob(repository, digest, { offset: size + 1 }),
        (e) => e instanceof RegistryError && e.code === 'RANGE_INVALID',
      );
    });

    run('headBlob() tells the size', async (registry) => {
      const { digest, size } = large.descriptor;
      const info = await registry.headBlob(repository, digest);
      assert.deepEqual([info.digest, info.sizeBytes], [digest, size]);
    });

    run('tags() lists every tag once', async (registry) => {
      assert.deepEqual((await all(registry.tags(repository))).sort(), ['index', 'one', 'two']);
    });

    run('what is not there fails with not-found and the code of the spec', async (registry) => {
      const nowhere = parseRepositoryPath('no/such');
      await fails(registry.getManifest(repository, tag('none')), 'MANIFEST_UNKNOWN');
      await fails(registry.getManifest(repository, absent), 'MANIFEST_UNKNOWN');
      await fails(registry.headManifest(repository, tag('none')), 'MANIFEST_UNKNOWN');
      await fails(registry.getBlob(repository, absent), 'BLOB_UNKNOWN');
      await fails(registry.headBlob(repository, absent), 'BLOB_UNKNOWN');
      await fails(registry.getManifest(nowhere, tag('one')), 'NAME_UNKNOWN', 'MANIFEST_UNKNOWN');
      await fails(registry.getBlob(nowhere, absent), 'NAME_UNKNOWN', 'BLOB_UNKNOWN');
      await fails(all(registry.tags(nowhere)), 'NAME_UNKNOWN');
    });

    run('an aborted signal ends every call with cancelled, also in the middle of a blob', async (registry) => {
      const signal = AbortSignal.abort();
      const cancelled = (error: unknown): boolean => isKind(error, 'cancelled');
      await assert.rejects(registry.getManifest(repository, tag('one'), { signal }), cancelled);
      await assert.rejects(registry.headBlob(repository, large.descriptor.digest, { signal }), cancelled);
      await assert.rejects(registry.getBlob(repository, large.descriptor.digest, { signal }), cancelled);
      await assert.rejects(all(registry.tags(repository, { signal })), cancelled);
      const controller = new AbortController();
      const { body } = await registry.getBlob(repository, large.descriptor.digest, { signal: controller.signal });
      await assert.rejects(async () => {
        for await (const _ of body) controller.abort();
      }, cancelled);
    });

    const fresh = (): RepositoryPath => parseRepositoryPath(`written/${randomBytes(6).toString('hex')}`);
    const image = contents.images[1];
    const whole = (bytes: Uint8Array) => (offset: number) => pieces(bytes.subarray(offset));
    const identity = ({ descriptor }: Blob): BlobIdentity => ({
      digest: descriptor.digest,
      sizeBytes: descriptor.size,
    });
    const refused = (...codes: RegistryCode[]) => {
      return (error: unknown): boolean => error instanceof RegistryError && codes.includes(error.code as RegistryCode);
    };

    run('putBlob() stores what getBlob() gives back, also twice, large and empty', async (registry) => {
      const target = fresh();
      const empty = blobOf('', mediaTypes.ociLayer);
      for (const blob of [large, image.config, empty, image.config]) {
        await registry.putBlob(target, identity(blob), whole(blob.bytes));
        const { body } = await registry.getBlob(target, blob.descriptor.digest);
        assert.deepEqual(Buffer.from(await collect(body, blob.descriptor.size, 'blob')), Buffer.from(blob.bytes));
      }
    });

    run('putBlob() with other bytes, too few or too many is invalid and stores nothing', async (registry) => {
      const target = fresh();
      const blob = identity(image.config);
      const { bytes } = image.config;
      const other = Buffer.from(bytes).fill(120);
      for (const wrong of [other, bytes.subarray(1), Buffer.concat([bytes, bytes])])
        await assert.rejects(registry.putBlob(target, blob, whole(wrong)), (error) => isKind(error, 'invalid'));
      await fails(registry.headBlob(target, blob.digest), 'BLOB_UNKNOWN', 'NAME_UNKNOWN');
    });

    run('streamBlob() asks for the digest after the last byte, once', async (registry) => {
      const target = fresh();
      for (const blob of [large, image.config, blobOf('', mediaTypes.ociLayer), blobOf('x', mediaTypes.ociLayer)]) {
        let asked = 0;
        let read = false;
        const body = async function* (): AsyncGenerator<Uint8Array> {
          yield* pieces(blob.bytes);
          read = true;
        };
        await registry.streamBlob(target, body(), () => {
          assert.ok(read);
          asked++;
          return identity(blob);
        });
        assert.equal(asked, 1);
        assert.equal((await registry.headBlob(target, blob.descriptor.digest)).sizeBytes, blob.descriptor.size);
      }
      await assert.rejects(
        registry.streamBlob(target, pieces(image.config.bytes), () => ({
          digest: absent,
          sizeBytes: image.config.bytes.length,
        })),
        refused('DIGEST_INVALID'),
      );
    });

    run('what the source of a blob throws reaches the caller, and the blob is not there', async (registry) => {
      const target = fresh();
      const broken = async function* (): AsyncGenerator<Uint8Array> {
        yield large.bytes.subarray(0, 2_000_000);
        throw new Error('disk on fire');
      };
      await assert.rejects(registry.putBlob(target, identity(large), broken), /disk on fire/);
      await assert.rejects(
        registry.streamBlob(target, broken(), () => identity(large)),
        /disk on fire/,
      );
      await fails(registry.headBlob(target, large.descriptor.digest), 'BLOB_UNKNOWN', 'NAME_UNKNOWN');
    });

    run('an aborted signal ends an upload in its middle', async (registry) => {
      const target = fresh();
      for (const how of ['put', 'stream'] as const) {
        const controller = new AbortController();
        const { signal } = controller;
        const body = async function* (): AsyncGenerator<Uint8Array> {
          for await (const piece of pieces(large.bytes)) {
            yield piece;
            controller.abort();
          }
        };
        const sent =
          how === 'put'
            ? registry.putBlob(target, identity(large), body, { signal })
            : registry.streamBlob(target, body(), () => identity(large), { signal });
        await assert.rejects(sent, (error) => isKind(error, 'cancelled'), how);
      }
      await fails(registry.headBlob(target, large.descriptor.digest), 'BLOB_UNKNOWN', 'NAME_UNKNOWN');
    });

    run('mountBlob() takes a blob from another repository, and says false where there is none', async (registry) => {
      const target = fresh();
      const { digest, size } = large.descriptor;
      assert.equal(await registry.mountBlob(target, digest, repository), true);
      assert.equal((await registry.headBlob(target, digest)).sizeBytes, size);
      assert.equal(await registry.mountBlob(target, absent, repository), false);
      assert.equal(await registry.mountBlob(target, digest, parseRepositoryPath('no/such')), false);
    });

    run(
      'putManifest() stores an image and an index by tag and digest; what they need has to be there',
      async (registry) => {
        const target = fresh();
        const { manifest, config, layers } = image;
        const content = { bytes: manifest.bytes, mediaType: manifest.descriptor.mediaType };
        await assert.rejects(
          registry.putManifest(target, tag('new'), content),
          (error) => refused('MANIFEST_BLOB_UNKNOWN')(error) && isKind(error, 'failed-precondition'),
        );
        for (const blob of [config, ...layers]) await registry.putBlob(target, identity(blob), whole(blob.bytes));
        const index = buildIndex([{ image, architecture: 'arm64', variant: 'v8' }]);
        const list = { bytes: index.bytes, mediaType: index.descriptor.mediaType };
        await assert.rejects(registry.putManifest(target, tag('list'), list), refused('MANIFEST_BLOB_UNKNOWN'));
        assert.equal(
          await registry.putManifest(target, manifest.descriptor.digest, content),
          manifest.descriptor.digest,
        );
        assert.equal(await registry.putManifest(target, tag('new'), content), manifest.descriptor.digest);
        assert.equal(await registry.putManifest(target, tag('list'), list), index.descriptor.digest);
        assert.deepEqual(
          Buffer.from((await registry.getManifest(target, tag('list'))).bytes),
          Buffer.from(index.bytes),
        );
        assert.deepEqual((await all(registry.tags(target))).sort(), ['list', 'new']);
      },
    );

    run('putManifest() moves a tag, and refuses another digest and what is no manifest', async (registry) => {
      const target = fresh();
      for (const { descriptor } of contents.blobs)
        if (!descriptor.mediaType.includes('json') || descriptor.mediaType.includes('config'))
          await registry.mountBlob(target, descriptor.digest, repository);
      for (const { manifest } of contents.images) {
        await registry.putManifest(target, tag('moving'), {
          bytes: manifest.bytes,
          mediaType: manifest.descriptor.mediaType,
        });
        assert.equal((await registry.headManifest(target, tag('moving'))).digest, manifest.descriptor.digest);
      }
      const [one] = contents.images;
      const content = { bytes: one.manifest.bytes, mediaType: one.manifest.descriptor.mediaType };
      await assert.rejects(registry.putManifest(target, absent, content), (error) => isKind(error, 'invalid'));
      const nonsense = { bytes: Buffer.from('no manifest'), mediaType: mediaTypes.ociManifest };
      await assert.rejects(registry.putManifest(target, tag('bad'), nonsense), (error) => isKind(error, 'invalid'));
    });

    run('deleteManifest() deletes by digest with its tags; what is not there is not-found', async (registry) => {
      const target = fresh();
      for (const blob of [image.config, ...image.layers])
        await registry.mountBlob(target, blob.descriptor.digest, repository);
      const { bytes, descriptor } = image.manifest;
      await registry.putManifest(target, tag('gone'), { bytes, mediaType: descriptor.mediaType });
      await registry.deleteManifest(target, descriptor.digest);
      await fails(registry.getManifest(target, tag('gone')), 'MANIFEST_UNKNOWN');
      await fails(registry.deleteManifest(target, descriptor.digest), 'MANIFEST_UNKNOWN');
    });

    run('a blob that is left in the middle does not disturb what follows', async (registry) => {
      for await (const _ of (await registry.getBlob(repository, large.descriptor.digest)).body) break;
      assert.equal((await registry.headBlob(repository, large.descriptor.digest)).sizeBytes, large.descriptor.size);
    });
  });
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += 65536) yield bytes.subarray(at, at + 65536);
}
