import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { mediaTypes, parsePlatform, type DiffId } from '../spec/mod.ts';
import { blobsOf, buildImage, writeLayout } from '../../test/support/image.ts';
import { busyboxImage, debianImage, noBusybox, noDebian } from '../../test/support/images.ts';
import { needs } from '../../test/support/needs.ts';
import { noRegistry, startRegistry } from '../../test/support/registry.ts';
import { MemoryImageStore } from './memory-store.ts';
import { type PullEvent } from './pull.ts';
import { assertPulled, fails, image, index, layers, originOf, other, pull, temp } from './pull.suite.ts';

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

  test('reads what skopeo wrote: oci:, oci-archive:, Docker manifests', { skip: needs.program('skopeo') }, async () => {
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
