import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { isKind, type ErrorKind } from '../base/errors.ts';
import { MemoryRegistry, registryHandler } from '../registry/mod.ts';
import {
  mediaTypes,
  parsePlatform,
  parseReference,
  parseRepositoryPath,
  parseTag,
  type DiffId,
  type Digest,
} from '../spec/mod.ts';
import { serve } from '../../test/support/http.ts';
import {
  blobOf,
  blobsOf,
  buildImage,
  buildIndex,
  hostArchitecture,
  writeLayout,
  type Blob,
  type BuiltImage,
} from '../../test/support/image.ts';
import { busyboxImage, debianImage, noBusybox, noDebian } from '../../test/support/images.ts';
import { missing } from '../../test/support/programs.ts';
import { noRegistry, startRegistry } from '../../test/support/registry.ts';
import { tarOf } from '../../test/support/tar.ts';
import { parseImageLocation } from './location.ts';
import type { LayerOrigin } from './store.ts';
import { MemoryImageStore } from './memory-store.ts';
import { openImageSource } from './open-source.ts';
import { pullImage, type PullEvent, type PullOptions } from './pull.ts';

const platform = parsePlatform(`linux/${hostArchitecture()}`);
const temp = mkdtempSync(join(tmpdir(), 'tare-pull-'));
after(() => rmSync(temp, { recursive: true }));

const layers = [
  tarOf([{ name: 'a', content: 'first' }]),
  tarOf([{ name: 'b', content: Buffer.alloc(300_000, 7) }]),
  tarOf([{ name: '.wh.a' }]),
  tarOf([{ name: 'c', type: 'hardlink', link: 'b' }]),
];
const image = buildImage({ layers, config: { Cmd: ['sh'] } });
const other = buildImage({ layers: [layers[0] ?? Buffer.alloc(0)], architecture: 's390x' });
const index = buildIndex([
  { image: other, architecture: 's390x' },
  { image, architecture: hostArchitecture() },
]);

async function pull(
  text: string,
  store = new MemoryImageStore(),
  options: Partial<PullOptions> & { ca?: string } = {},
): Promise<MemoryImageStore> {
  const { ca, ...rest } = options;
  const registry = { retry: { attempts: 2, delayMs: 1 }, ...(ca !== undefined && { ca: [ca] }) };
  await using source = await openImageSource(parseImageLocation(text), { cwd: temp, registry });
  try {
    await pullImage(source, store, { platform, ...rest });
  } finally {
    assert.equal(store.open.size, 0, 'a writer was left open');
  }
  return store;
}

/** The store has exactly this image, byte for byte. */
function assertPulled(store: MemoryImageStore, expected: BuiltImage, names: readonly string[]): void {
  const [stored] = store.images;
  assert.ok(stored && store.images.length === 1);
  assert.deepEqual(stored.names, names);
  assert.deepEqual(Buffer.from(stored.config), expected.config.bytes);
  assert.deepEqual(
    stored.layers.map(({ diffId }) => diffId as string),
    expected.diffIds,
  );
  assert.equal(store.layers.size, expected.diffIds.length);
}

/** Where the first layer came from. */
function originOf(store: MemoryImageStore): LayerOrigin | undefined {
  const layer = store.images[0]?.layers[0];
  return layer && 'origin' in layer ? layer.origin : undefined;
}

const fails = (promise: Promise<unknown>, kind: ErrorKind, message: RegExp): Promise<void> =>
  assert.rejects(promise, (error) => {
    assert.ok(isKind(error, kind), String(error));
    assert.match(error.message, message);
    return true;
  });

describe('pullImage() from OCI layouts', () => {
  const dir = join(temp, 'layout');
  writeLayout(dir, [...blobsOf(image), ...blobsOf(other), index], {
    plain: image.manifest,
    multi: index,
    'docker.io/library/x:1': image.manifest,
  });

  test('takes an image by its name in the layout, into one commit with every layer', async () => {
    const events: PullEvent[] = [];
    const store = await pull(`oci:${dir}:plain`, new MemoryImageStore(), { progress: (event) => events.push(event) });
    assertPulled(store, image, ['localhost/plain:latest']);
    assert.deepEqual(
      [...store.layers.values()].map((tar) => Buffer.from(tar)),
      layers,
    );
    assert.deepEqual(store.images[0]?.manifest, image.manifest.bytes);
    assert.equal(store.images[0]?.indexManifest, undefined);
    assert.equal(events[0]?.phase, 'resolved');
    assert.equal(events.at(-1)?.phase, 'commit');
    assert.equal(events.filter(({ phase }) => phase === 'layer-done').length, 4);
    const last = events.findLast((event) => event.phase === 'layer' && event.index === 1);
    assert.ok(last?.phase === 'layer' && last.bytes === last.total);
  });

  test('chooses by platform from an index and keeps the index', async () => {
    const store = await pull(`oci:${dir}:multi`);
    assertPulled(store, image, ['localhost/multi:latest']);
    assert.deepEqual(store.images[0]?.indexManifest, index.bytes);
    await fails(
      pull(`oci:${dir}:multi`, undefined, { platform: parsePlatform('linux/riscv64') }),
      'not-found',
      /linux\/riscv64.*linux\/s390x/,
    );
  });

  test('keeps a full name as it is, and takes names of the caller instead', async () => {
    assertPulled(await pull(`oci:${dir}:docker.io/library/x:1`), image, ['docker.io/library/x:1']);
    assertPulled(await pull(`oci:${dir}:plain`, undefined, { names: ['quay.io/a/b:c'] }), image, ['quay.io/a/b:c']);
  });

  test('fetches no layer that the store has', async () => {
    const store = await pull(`oci:${dir}:plain`);
    const events: PullEvent[] = [];
    await pull(`oci:${dir}:plain`, store, { progress: (event) => events.push(event) });
    assert.deepEqual(
      events.map(({ phase }) => phase),
      ['resolved', 'present', 'present', 'present', 'present', 'commit'],
    );
    assert.equal(store.images.length, 2);
  });

  test('fetches only what is above the layers that the store has, and everything when one is removed meanwhile', async () => {
    const base = buildImage({ layers: layers.slice(0, 2) });
    writeLayout(join(temp, 'base'), blobsOf(base), { base: base.manifest });
    const phases = async (store: MemoryImageStore): Promise<string[]> => {
      const events: string[] = [];
      const progress = (event: PullEvent): void => void (event.phase !== 'layer' && events.push(event.phase));
      assert.equal((await pull(`oci:${dir}:plain`, store, { progress, parallel: 1 })).layers.size, 4);
      return events;
    };
    const store = await pull('oci:base');
    assert.deepEqual(await phases(store), ['resolved', 'present', 'present', 'layer-done', 'layer-done', 'commit']);
    class Forgetful extends MemoryImageStore {
      override async hasLayer(diffIds: readonly DiffId[]): Promise<boolean> {
        const has = await super.hasLayer(diffIds);
        if (has && diffIds.length === 2) this.layers.clear();
        return has;
      }
    }
    const forgetful = await pull('oci:base', new Forgetful());
    assert.deepEqual(await phases(forgetful), [
      'resolved',
      'present',
      'present',
      'layer-done',
      'layer-done',
      'commit',
      'layer-done',
      'layer-done',
      'layer-done',
      'layer-done',
      'commit',
    ]);
  });

  test('asks for a name where there are several, and says what there is', async () => {
    await fails(pull(`oci:${dir}`), 'invalid', /it has 3; name one.*"plain"/);
    await fails(pull(`oci:${dir}:none`), 'not-found', /"none".*"plain"/);
    await fails(pull(`oci:${temp}/nowhere`), 'not-found', /no such directory/);
    await fails(pull(`oci:${temp}`), 'not-found', /oci-layout/);
  });

  test('reads what skopeo wrote: oci:, oci-archive:, Docker manifests', { skip: missing('skopeo') }, async () => {
    const copy = (...args: string[]): void =>
      void execFileSync('skopeo', ['--insecure-policy', 'copy', '-q', ...args], { stdio: 'pipe' });
    copy(`oci:${dir}:plain`, `oci:${temp}/skopeo:name`);
    assertPulled(await pull('oci:skopeo:name'), image, ['localhost/name:latest']);
    assertPulled(await pull('oci:skopeo'), image, ['localhost/name:latest']);
    copy(`oci:${dir}:plain`, `oci-archive:${temp}/skopeo.tar:docker.io/library/y:2`);
    assertPulled(await pull('oci-archive:skopeo.tar'), image, ['docker.io/library/y:2']);
    copy('--all', `oci:${dir}:multi`, `oci-archive:${temp}/multi.tar`);
    assertPulled(await pull('oci-archive:multi.tar'), image, []);
  });
});

for (const tls of [false, true]) {
  describe(
    `pullImage() from docker-registry, ${tls ? 'TLS' : 'plain http on localhost'}`,
    { skip: noRegistry() },
    () => {
      test('OCI, Docker schema 2, an index, by tag and by digest', async () => {
        await using registry = await startRegistry({ tls });
        const dir = join(temp, 'layout');
        const at = `${registry.domain}/team/app`;
        const options = registry.ca === undefined ? {} : { ca: registry.ca };
        registry.push(`oci:${dir}:plain`, 'team/app:oci');
        registry.push(`oci:${dir}:plain`, 'team/app:docker', { format: 'v2s2' });
        registry.push(`oci:${dir}:multi`, 'team/app', { all: true });
        assertPulled(await pull(`${at}:oci`, undefined, options), image, [`${at}:oci`]);
        assertPulled(await pull(`docker://${at}`, undefined, options), image, [`${at}:latest`]);
        const byDigest = `${at}@${index.descriptor.digest}`;
        assertPulled(await pull(byDigest, undefined, options), image, [byDigest]);
        const docker = await pull(`${at}:docker`, undefined, options);
        assert.deepEqual(
          docker.images[0]?.layers.map(({ diffId }) => diffId as string),
          image.diffIds,
        );
        assert.equal(originOf(docker)?.mediaType, mediaTypes.dockerLayerGzip);
        await fails(pull(`${at}:none`, undefined, options), 'not-found', /does not have it/);
      });
    },
  );
}

test(
  'pullImage() brings busybox and Debian over, all bytes right',
  { skip: noBusybox() || noDebian() || noRegistry() },
  async () => {
    await using registry = await startRegistry();
    for (const { source, name } of [await busyboxImage(), await debianImage()]) {
      registry.push(source, name);
      const store = await pull(`${registry.domain}/${name}`);
      assert.equal(store.layers.size, 1);
    }
  },
);

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
    await fails(
      pullFrom(honest(buildImage({ layers, compress: (tar) => zstdCompressSync(tar) }))),
      'unsupported',
      /zstd is not supported yet/,
    );
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
