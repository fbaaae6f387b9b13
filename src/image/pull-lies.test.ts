import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { TareError } from '../base/errors.ts';
import { MemoryRegistry, registryHandler } from '../registry/mod.ts';
import { mediaTypes, parseReference, parseRepositoryPath, parseTag, type Digest } from '../spec/mod.ts';
import { serve } from '../../test/support/http.ts';
import {
  blobOf,
  buildImage,
  buildIndex,
  hostArchitecture,
  type Blob,
  type BuiltImage,
} from '../../test/support/image.ts';
import { tarOf } from '../../test/support/tar.ts';
import { MemoryImageStore } from './memory-store.ts';
import { type PullEvent, type PullOptions } from './pull.ts';
import { fails, image, index, layers, originOf, pull } from './pull.suite.ts';

/** One file of zeros as a layer. */
function makeBomb(sizeBytes: number): Buffer {
  return tarOf([{ name: 'bomb', content: Buffer.alloc(sizeBytes) }]);
}

describe('pullImage() from a registry that lies', () => {
  const repository = parseRepositoryPath('team/app');

  function registryOf(blobs: readonly Blob[], top: Blob, manifests: readonly Blob[] = []): MemoryRegistry {
    const registry = new MemoryRegistry();
    for (const { bytes } of blobs) registry.addBlob(repository, bytes);
    for (const { bytes, descriptor } of manifests) registry.addManifest(repository, bytes, descriptor.mediaType);
    registry.addManifest(repository, top.bytes, top.descriptor.mediaType, parseTag('latest'));
    return registry;
  }

  const honest = (built: BuiltImage, top = built.manifest): RequestListener =>
    registryHandler(registryOf([built.config, ...built.layers], top, [built.manifest]));

  async function pullFrom(
    listener: RequestListener,
    options: Partial<PullOptions> = {},
    store = new MemoryImageStore(),
  ): Promise<MemoryImageStore> {
    await using server = await serve(listener);
    try {
      await pull(`127.0.0.1:${server.port}/team/app`, store, options);
    } catch (error) {
      assert.equal(store.images.length, 0, 'an image became visible');
      assert.equal(store.layers.size, 0, 'a layer became visible');
      throw error;
    }
    return store;
  }

  /** Answers requests for one blob with `body` instead. */
  const withBlob = (victim: Blob, body: (response: Parameters<RequestListener>[1]) => void): RequestListener => {
    const rest = honest(image);
    return (request, response) =>
      request.url?.endsWith(victim.descriptor.digest) === true && request.method === 'GET'
        ? body(response)
        : rest(request, response);
  };
  const big = image.layers[1] ?? blobOf('', '');

  test('the fake itself serves the image when it does not lie', async () => {
    const store = await pullFrom(honest(image, index));
    assert.equal(store.layers.size, 4);
  });

  test('a layer, a config and a manifest with another digest: both digests are named', async () => {
    const swapped = gzipSync(tarOf([{ name: 'evil' }]));
    const padded = Buffer.concat([swapped, Buffer.alloc(big.descriptor.size - swapped.length)]);
    await fails(
      pullFrom(withBlob(big, (response) => response.end(padded))),
      'invalid',
      /follow the end|its digest is sha256:[0-9a-f]{64}, not sha256:/,
    );
    const sameSize = Buffer.from(big.bytes);
    sameSize[4] = 1; // The time in the gzip header: it still unpacks to the right tar.
    await fails(
      pullFrom(withBlob(big, (response) => response.end(sameSize))),
      'invalid',
      new RegExp(`its digest is sha256:[0-9a-f]{64}, not ${big.descriptor.digest}`),
    );
    const config = Buffer.alloc(image.config.descriptor.size, 32);
    await fails(
      pullFrom(withBlob(image.config, (response) => response.end(config))),
      'invalid',
      new RegExp(`not ${image.config.descriptor.digest}`),
    );
    const rest = honest(image, index);
    await fails(
      pullFrom((request, response) =>
        request.url?.endsWith(image.manifest.descriptor.digest) === true ? response.end('{}') : rest(request, response),
      ),
      'invalid',
      new RegExp(`not ${image.manifest.descriptor.digest}`),
    );
  });

  test('a blob that is shorter, longer, endless or cut off', async () => {
    const { size } = big.descriptor;
    await fails(
      pullFrom(
        withBlob(
          big,
          (response) => void response.writeHead(200, { 'content-length': 10 }).end(big.bytes.subarray(0, 10)),
        ),
      ),
      'invalid',
      new RegExp(`it has 10 bytes, its descriptor says ${size}`),
    );
    await fails(
      pullFrom(
        withBlob(
          big,
          (response) =>
            void response
              .writeHead(200, { 'content-length': size + 1 })
              .end(Buffer.concat([big.bytes, Buffer.alloc(1)])),
        ),
      ),
      'invalid',
      /its descriptor says/,
    );
    // Chunked, without a length.
    await fails(
      pullFrom(
        withBlob(big, (response) => {
          response.write(big.bytes.subarray(0, 10));
          response.end();
        }),
      ),
      'invalid',
      new RegExp(`ends after 10 of the ${size} bytes`),
    );
    await fails(
      pullFrom(
        withBlob(big, (response) => {
          response.write(big.bytes);
          response.end('x');
        }),
      ),
      'invalid',
      /goes on after|follow/,
    );
    let sent = 0;
    const zeros = gzipSync(Buffer.alloc(1 << 20));
    const endless = withBlob(big, (response) => {
      const more = (): void => {
        if (response.destroyed) return;
        sent += zeros.length;
        if (response.write(zeros)) setImmediate(more);
        else response.once('drain', more);
      };
      more();
    });
    await fails(pullFrom(endless), 'invalid', /goes on after/);
    assert.ok(sent < 50_000_000, `${sent} bytes were taken`);
    await fails(
      pullFrom(
        withBlob(big, (response) => {
          response.writeHead(200, { 'content-length': size });
          response.write(big.bytes.subarray(0, 10), () => response.destroy());
        }),
      ),
      'unavailable',
      /broke/,
    );
  });

  test('a manifest that is also an index, or is sent as something else (CVE-2021-41190)', async () => {
    const both = blobOf(
      { ...(JSON.parse(image.manifest.bytes.toString()) as object), manifests: [] },
      mediaTypes.ociManifest,
    );
    await fails(pullFrom(honest(image, both)), 'invalid', /manifests does not belong/);
    const disguised = {
      bytes: image.manifest.bytes,
      descriptor: { ...image.manifest.descriptor, mediaType: mediaTypes.ociIndex },
    };
    await fails(pullFrom(honest(image, disguised)), 'invalid', /sent as/);
    const wrongEntry = blobOf(
      {
        schemaVersion: 2,
        mediaType: mediaTypes.ociIndex,
        manifests: [{ ...image.manifest.descriptor, mediaType: mediaTypes.ociIndex }],
      },
      mediaTypes.ociIndex,
    );
    await fails(pullFrom(honest(image, wrongEntry)), 'invalid', /sent as|mediaType/);
    await fails(pullFrom(honest(image, blobOf('<html>', mediaTypes.ociManifest))), 'invalid', /not JSON/);
  });

  test('indexes in indexes without end, and an index without us', async () => {
    let top = buildIndex([{ image, architecture: hostArchitecture() }]);
    const manifests: Blob[] = [image.manifest];
    for (let depth = 0; depth < 4; depth++) {
      manifests.push(top);
      top = blobOf(
        { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [top.descriptor] },
        mediaTypes.ociIndex,
      );
    }
    await fails(
      pullFrom(registryHandler(registryOf([image.config, ...image.layers], top, manifests))),
      'invalid',
      /without end/,
    );
    await fails(
      pullFrom(honest(image, buildIndex([{ image, architecture: 'mips' }]))),
      'not-found',
      /it has linux\/mips/,
    );
  });

  test('a config with other layers than the manifest', async () => {
    const [first = '' as Digest, ...rest] = image.diffIds;
    for (const diffIds of [[first], [...image.diffIds, first], [...rest, first]]) {
      await fails(
        pullFrom(honest(buildImage({ layers, diffIds }))),
        'invalid',
        /its manifest has 4 layers|it unpacks to sha256:.* the image's config says sha256:/,
      );
    }
  });

  test('artifacts and layers that are no file systems', async () => {
    const artifact = blobOf(
      {
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        artifactType: 'application/x.chart',
        config: { ...image.config.descriptor, mediaType: 'application/vnd.oci.empty.v1+json' },
        layers: [],
      },
      mediaTypes.ociManifest,
    );
    await fails(pullFrom(honest(image, artifact)), 'unsupported', /not a container image but "application\/x\.chart"/);
    await fails(
      pullFrom(honest(buildImage({ layers, layerType: 'text/plain' }))),
      'unsupported',
      /"text\/plain", which is not a file system/,
    );
  });

  test('a bomb ends at the limit, and what the layer type says of compression does not matter', async () => {
    const bomb = buildImage({ layers: [Buffer.alloc(50_000_000), Buffer.alloc(50_000_000)] });
    await fails(pullFrom(honest(bomb), { maxUnpackedBytes: 60_000_000 }), 'exhausted', /more than 60000000 bytes/);
    const typeOf = async (built: BuiltImage): Promise<string | undefined> =>
      originOf(await pullFrom(honest(built)))?.mediaType;
    assert.equal(await typeOf(buildImage({ layers })), mediaTypes.ociLayerGzip);
    assert.equal(
      await typeOf(buildImage({ layers, layerType: mediaTypes.dockerLayerGzip })),
      mediaTypes.dockerLayerGzip,
    );
    assert.equal(await typeOf(buildImage({ layers, layerType: mediaTypes.ociLayer })), mediaTypes.ociLayerGzip);
    assert.equal(await typeOf(buildImage({ layers, compress: (tar) => tar })), mediaTypes.ociLayer);
    assert.equal(
      await typeOf(buildImage({ layers, compress: (tar) => zstdCompressSync(tar) })),
      mediaTypes.ociLayerZstd,
    );
  });

  test('gzip and zstd bombs of any ratio end at the limit, in a short time and little memory', async () => {
    const layer = makeBomb(64 * 2 ** 20);
    for (const [what, compress] of [
      ['gzip', gzipSync],
      ['zstd in one frame', zstdCompressSync],
      [
        'zstd in many frames',
        (tar: Uint8Array) =>
          Buffer.concat(Array.from({ length: 200 }, () => zstdCompressSync(tar.subarray(0, 131_072)))),
      ],
      [
        'zstd of skippable frames only',
        () => Buffer.concat(Array.from({ length: 20_000 }, () => Buffer.from('502a4d1800000000', 'hex'))),
      ],
      [
        'zstd of empty frames only',
        (tar: Uint8Array) => Buffer.concat(Array.from({ length: 2000 }, () => zstdCompressSync(tar.subarray(0, 0)))),
      ],
    ] as const) {
      const bomb = buildImage({ layers: [layer], compress: (tar) => compress(tar) });
      const began = performance.now();
      const before = process.memoryUsage().arrayBuffers;
      const [kind, message] = what.endsWith('only')
        ? (['invalid', /it unpacks to sha256:/] as const)
        : (['exhausted', /more than 8000000 bytes/] as const);
      await fails(pullFrom(honest(bomb), { maxUnpackedBytes: 8_000_000 }), kind, message);
      assert.ok(performance.now() - began < 10_000, `${what}: ${performance.now() - began} ms`);
      assert.ok(process.memoryUsage().arrayBuffers - before < 128 * 2 ** 20, what);
    }
  });

  test('a manifest, an index and a config that are too long, and more layers than can be stacked', async () => {
    const long = 'x'.repeat(4 * 2 ** 20);
    const manifest = JSON.parse(image.manifest.bytes.toString()) as Record<string, unknown>;
    const asked: string[] = [];
    const logged =
      (listener: RequestListener): RequestListener =>
      (request, response) => {
        asked.push(request.url ?? '');
        listener(request, response);
      };
    for (const [top, type] of [
      [{ ...manifest, annotations: { long } }, mediaTypes.ociManifest],
      [{ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [], annotations: { long } }, mediaTypes.ociIndex],
    ] as const)
      await fails(pullFrom(honest(image, blobOf(top, type))), 'invalid', /longer than 4194304 bytes/);
    const config = { ...image.config.descriptor, size: 9 * 2 ** 20 };
    await fails(
      pullFrom(logged(honest(image, blobOf({ ...manifest, config }, mediaTypes.ociManifest)))),
      'invalid',
      /longer than 8388608 bytes/,
    );
    assert.deepEqual(
      asked.filter((url) => url.includes('/blobs/')),
      [],
      'it was not fetched',
    );
    const many = Array.from({ length: 501 }, () => image.layers[0]?.descriptor);
    await fails(
      pullFrom(logged(honest(image, blobOf({ ...manifest, layers: many }, mediaTypes.ociManifest)))),
      'invalid',
      /layers has 501 items, more than 500/,
    );
    assert.deepEqual(
      asked.filter((url) => url.includes('/blobs/')),
      [],
      'nothing was fetched',
    );
    const shallow = buildImage({ layers, diffIds: Array.from({ length: 501 }, () => image.diffIds[0] ?? '') });
    await fails(pullFrom(honest(shallow)), 'invalid', /diff_ids has 501 items/);
  });

  test('digests that are paths, of unknown kinds or of another length never reach an address or the disk (CVE-2024-3727)', async () => {
    const good = image.manifest.descriptor.digest;
    const manifest = JSON.parse(image.manifest.bytes.toString()) as { config: object; layers: object[] };
    const bad = [
      'sha256:../../../../etc/passwd',
      `${good}/../../other`,
      `sha256:${'A'.repeat(64)}`,
      good.slice(0, -1),
      `${good}0`,
      `md5:${'0'.repeat(32)}`,
      'sha256:',
      '',
      '../../x',
      `sha256:${'0'.repeat(63)}\n`,
      `SHA256:${good.slice(7)}`,
      'sha256:%2e%2e%2f',
    ];
    for (const digest of bad) {
      const asked: string[] = [];
      const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex };
      for (const top of [
        blobOf({ ...manifest, layers: [{ ...manifest.layers[0], digest }] }, mediaTypes.ociManifest),
        blobOf({ ...manifest, config: { ...manifest.config, digest } }, mediaTypes.ociManifest),
        blobOf({ ...index, manifests: [{ ...image.manifest.descriptor, digest }] }, mediaTypes.ociIndex),
      ]) {
        const rest = honest(image, top);
        const listener: RequestListener = (request, response) => {
          asked.push(request.url ?? '');
          rest(request, response);
        };
        await fails(pullFrom(listener), 'invalid', /digest is not a sha256, sha384 or sha512 digest/);
      }
      await fails(
        pullFrom(honest(buildImage({ layers, diffIds: [digest] }))),
        'invalid',
        /diff_ids\[0\] is not a sha256/,
      );
      assert.ok(
        asked.every((url) => /^\/v2\/(?:team\/app\/manifests\/latest)?$/.test(url)),
        asked.join(' '),
      );
      const headered = honest(image);
      await pullFrom((request, response) => {
        response.setHeader('docker-content-digest', 'sha256:../../etc');
        headered(request, response);
      }).catch((error: unknown) => assert.ok(error instanceof TareError, String(error)));
    }
  });

  test('one bad layer among twenty ends the others, and an abort ends all', async () => {
    const many = Array.from({ length: 20 }, (_, i) => tarOf([{ name: `f${i}`, content: Buffer.alloc(50_000, i) }]));
    const built = buildImage({ layers: many });
    const rest = honest(built);
    let asked = 0;
    const listener: RequestListener = (request, response) => {
      if (built.layers.some(({ descriptor }) => request.url?.endsWith(descriptor.digest))) asked++;
      if (request.url?.endsWith(built.layers[4]?.descriptor.digest ?? '-') === true)
        return void response.writeHead(404).end();
      rest(request, response);
    };
    await fails(pullFrom(listener), 'not-found', /does not have this blob/);
    assert.ok(asked < 15, `${asked} layers were asked for`);
    const controller = new AbortController();
    const progress = (event: PullEvent): void =>
      void (event.phase === 'layer' && event.index === 2 && controller.abort());
    await fails(pullFrom(honest(built), { signal: controller.signal, progress }), 'cancelled', /cancelled/);
  });

  test('an image without layers, and one with the same layer twice', async () => {
    assert.equal((await pullFrom(honest(buildImage({ layers: [] })))).images.length, 1);
    const [layer = Buffer.alloc(0)] = layers;
    assert.equal((await pullFrom(honest(buildImage({ layers: [layer, layer] })))).layers.size, 2);
  });

  test('a reference with a digest gets that digest or nothing', async () => {
    await using server = await serve(honest(image));
    const text = (digest: string): string => `127.0.0.1:${server.port}/team/app:latest@${digest}`;
    assert.equal(parseReference(text(image.manifest.descriptor.digest)).tag, 'latest');
    await pull(text(image.manifest.descriptor.digest));
    await fails(pull(text(index.descriptor.digest)), 'not-found', /does not have it/);
  });
});
