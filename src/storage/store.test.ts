import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { addImage, type Entries, makeImage, needsRoot, scratchStore, sha256, stage } from './_store.suite.ts';
import { HeldLock } from './lock-file.ts';
import { Store } from './mod.ts';

const bottom: Entries = [
  { path: './', kind: 'dir', mode: 0o751, uid: 5, gid: 6 },
  { path: 'etc/passwd', kind: 'file', content: 'root', uid: 7 },
];
const top: Entries = [{ path: 'etc/.wh.passwd', kind: 'file' }];
const id = (n: number): string => n.toString(16).padStart(64, '0');

test('Store: an image goes in once and comes back by name, digest, id and prefix', needsRoot, async (t) => {
  const { store, graphRoot } = await scratchStore(t);
  const image = makeImage([bottom, top]);
  const record = await addImage(store, image, ['reg.io:5000/a/b:1']);
  assert.deepEqual(
    [record.id, record.digest, record.names, record.created],
    [sha256(image.config).slice(7), sha256(image.manifest), ['reg.io:5000/a/b:1'], '2024-05-06T07:08:09Z'],
  );
  for (const reference of [
    'reg.io:5000/a/b:1',
    `reg.io:5000/a/b@${record.digest}`,
    record.id,
    record.id.slice(0, 10),
    `sha256:${record.id}`,
  ]) {
    assert.equal(store.image(reference)?.id, record.id, reference);
  }
  for (const reference of ['reg.io:5000/a/b', 'reg.io:5000/a/b:2', `reg.io:5000/a@${record.digest}`, 'zz', ''])
    assert.equal(store.image(reference), undefined, reference);
  assert.ok(store.readConfig(record).equals(image.config));
  assert.ok(
    store.readManifest(record).equals(image.manifest) &&
      store.readManifest(record, record.digest).equals(image.manifest),
  );
  const [second, first] = store.imageLayers(record);
  assert.deepEqual(
    [first?.id, first?.diffId, first?.sizeBytes],
    [image.diffIds[0]?.slice(7), image.diffIds[0], image.tars[0]?.length],
  );
  assert.equal(second?.parent, first?.id);
  // The root directory: the image's own, inherited by what says nothing about it.
  for (const layer of [first, second]) {
    const { mode, uid, gid } = lstatSync(store.diffPath(layer?.id ?? ''));
    assert.deepEqual([mode & 0o7777, uid, gid], [0o751, 5, 6]);
  }
  assert.equal(await store.hasLayer(image.diffIds), true);
  assert.equal(await store.hasLayer([...image.diffIds].reverse()), false);
  const before = readFileSync(join(graphRoot, 'overlay-layers/layers.json'), 'utf8');
  const again = await addImage(store, image, ['reg.io:5000/a/b:2']);
  assert.deepEqual(again.names, ['reg.io:5000/a/b:1', 'reg.io:5000/a/b:2']);
  assert.equal(
    readFileSync(join(graphRoot, 'overlay-layers/layers.json'), 'utf8'),
    before,
    'known layers are not written again',
  );
  assert.deepEqual((JSON.parse(before) as Record<string, unknown>[])[0]?.['uidset'], [5, 7]);
});

test(
  'Store: removeImage takes names first, refuses what is used, and deletes only layers nobody else needs',
  needsRoot,
  async (t) => {
    const { store, graphRoot } = await scratchStore(t);
    const shared = await addImage(store, makeImage([bottom]), ['localhost/base:1', 'localhost/base:2']);
    const child = await addImage(store, makeImage([bottom, top]), ['localhost/child:1']);
    await assert.rejects(
      store.removeImage(shared.id),
      (error) => isKind(error, 'failed-precondition') && error.message.includes('2 names'),
    );
    assert.deepEqual(await store.removeImage('localhost/base:2'), {
      untagged: ['localhost/base:2'],
      deletedLayers: [],
    });
    const { id: container } = await store.createContainer({
      id: id(1),
      name: 'user',
      imageId: child.id,
      volatile: true,
      metadata: '',
    });
    await assert.rejects(
      store.removeImage('localhost/child:1'),
      (error) => isKind(error, 'failed-precondition') && error.message.includes('user'),
    );
    assert.deepEqual(
      (await store.removeImage('localhost/base:1')).deletedLayers,
      [],
      'the layer below another image stays',
    );
    assert.equal(await store.removeContainer(container), true);
    assert.equal(await store.removeContainer(container), false);
    assert.equal((await store.removeImage(child.id)).deletedLayers.length, 2);
    await assert.rejects(store.removeImage('localhost/child:1'), (error) => isKind(error, 'not-found'));
    assert.deepEqual(
      readdirSync(join(graphRoot, 'overlay')).filter((name) => name.length === 64),
      [],
    );
    assert.deepEqual([store.images(), store.layers(), store.containers()], [[], [], []]);
  },
);

test('Store: a container is a record and an overlay on the real paths of its image', needsRoot, async (t) => {
  const { dir, graphRoot, runRoot } = await scratchStore(t);
  symlinkSync(graphRoot, join(dir, 'alias'));
  const store = await Store.open({ graphRoot: join(dir, 'alias'), runRoot });
  const image = await addImage(store, makeImage([bottom, top]), ['localhost/a:1']);
  for (const volatile of [true, false]) {
    const record = await store.createContainer({
      id: id(2),
      name: 'c',
      imageId: image.id,
      volatile,
      metadata: '{"x":1}',
    });
    assert.deepEqual([record.names, record.metadata, record.volatile], [['c'], '{"x":1}', volatile]);
    const mount = store.rootfs(id(2));
    assert.deepEqual(
      mount.lowers,
      store.imageLayers(image).map((layer) => join(graphRoot, 'overlay', layer.id, 'diff')),
    );
    assert.deepEqual(mount.options, volatile ? ['volatile'] : []);
    const target = join(dir, 'mnt');
    mkdirSync(target, { recursive: true });
    const data = `lowerdir=${mount.lowers.join(':')},upperdir=${mount.upper},workdir=${mount.work}`;
    if (spawnSync('mount', ['-t', 'overlay', '-o', data, 'overlay', target]).status === 0) {
      assert.deepEqual([readdirSync(join(target, 'etc')), statSync(target).mode & 0o7777], [[], 0o751]);
      spawnSync('umount', [target]);
    }
    await assert.rejects(
      store.createContainer({ id: id(3), name: 'c', imageId: image.id, volatile: !volatile, metadata: '' }),
      (error) => isKind(error, 'already-exists'),
    );
    await assert.rejects(store.createContainer({ id: id(2), imageId: image.id, volatile, metadata: '' }), (error) =>
      isKind(error, 'already-exists'),
    );
    await store.removeContainer(id(2));
  }
  await assert.rejects(store.createContainer({ id: id(2), imageId: id(9), volatile: true, metadata: '' }), (error) =>
    isKind(error, 'not-found'),
  );
  await assert.rejects(
    store.createContainer({ id: '../x', imageId: image.id, volatile: true, metadata: '' }),
    (error) => isKind(error, 'invalid'),
  );
  assert.throws(
    () => store.rootfs(id(2)),
    (error) => isKind(error, 'not-found'),
  );
});

test(
  'Store.mounted: counts in mountpoints.json, never below 0, and forgets a removed container',
  needsRoot,
  async (t) => {
    const { store, graphRoot, runRoot } = await scratchStore(t);
    const image = await addImage(store, makeImage([bottom]), []);
    const { layer } = await store.createContainer({ id: id(4), imageId: image.id, volatile: true, metadata: '' });
    const counts = (): unknown => JSON.parse(readFileSync(join(runRoot, 'overlay-layers/mountpoints.json'), 'utf8'));
    assert.deepEqual(
      [await store.mounted(layer, 1), await store.mounted(layer, 1), await store.mounted(layer, -1)],
      [1, 2, 1],
    );
    assert.deepEqual(counts(), [{ id: layer, path: join(graphRoot, 'overlay', layer, 'merged'), count: 1 }]);
    await store.removeContainer(id(4));
    assert.deepEqual(counts(), []);
    assert.equal(await store.mounted(layer, -1), 0);
  },
);

test(
  'Store.commitImage: refuses layers that the config does not name, and leaves nothing of what was staged',
  needsRoot,
  async (t) => {
    const { store, graphRoot } = await scratchStore(t);
    const image = makeImage([bottom]);
    const other = makeImage([top]);
    const wrong = await stage(store, other.tars[0] ?? assert.fail());
    await assert.rejects(
      store.commitImage({ layers: [wrong], config: image.config, manifest: image.manifest, names: [] }),
      (error) => isKind(error, 'invalid'),
    );
    const missing = image.diffIds.map((diffId) => ({ diffId }));
    await assert.rejects(
      store.commitImage({ layers: missing, config: image.config, manifest: image.manifest, names: [] }),
      (error) => isKind(error, 'failed-precondition'),
    );
    {
      await using abandoned = await store.stageLayer();
      await abandoned.write(image.tars[0] ?? assert.fail());
    }
    assert.deepEqual(
      [readdirSync(join(graphRoot, 'overlay/tempdirs')), readdirSync(join(graphRoot, 'overlay-layers/tmp'))],
      [[], []],
    );
    assert.deepEqual([store.images(), store.layers()], [[], []]);
  },
);

test(
  'Store: unknown keys survive every change, and a damaged list is an error, not an empty store',
  needsRoot,
  async (t) => {
    const { store, graphRoot } = await scratchStore(t);
    const image = await addImage(store, makeImage([bottom]), ['localhost/a:1']);
    const path = join(graphRoot, 'overlay-images/images.json');
    const [raw] = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>[];
    rmSync(path);
    writeFileSync(path, JSON.stringify([{ ...raw, 'future-key': { deep: [1] }, flags: { mine: true } }]));
    await store.tag(image.id, 'localhost/b:1');
    await addImage(store, makeImage([bottom], 'x'), ['localhost/a:1']);
    const after = (JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>[])[0];
    assert.deepEqual(
      [after?.['future-key'], after?.['flags'], after?.['names'], after?.['names-history']],
      [{ deep: [1] }, { mine: true }, ['localhost/b:1'], ['localhost/b:1', 'localhost/a:1']],
    );
    writeFileSync(path, '[{"id":"../../etc"}]');
    assert.throws(
      () => store.images(),
      (error) => isKind(error, 'failed-precondition'),
    );
    writeFileSync(path, '[{"id":');
    await assert.rejects(store.removeImage('localhost/b:1'), (error) => isKind(error, 'failed-precondition'));
  },
);

test(
  'Store: many processes create and remove containers at once; none is lost and none is left',
  needsRoot,
  async (t) => {
    const { store, graphRoot, runRoot } = await scratchStore(t);
    const image = await addImage(store, makeImage([bottom, top]), ['localhost/a:1']);
    const script = `
    const { Store } = await import(${JSON.stringify(join(import.meta.dirname, 'mod.ts'))});
    const store = await Store.open({ graphRoot: process.argv[1], runRoot: process.argv[2] });
    const id = (n) => (Number(process.argv[4]) * 1000 + n).toString(16).padStart(64, '0');
    for (let n = 0; n < 12; n++) {
      await store.createContainer({ id: id(n), name: 'c' + id(n), imageId: process.argv[3], volatile: n % 2 === 0, metadata: '' });
      if (n % 3 !== 0) await store.removeContainer(id(n));
    }`;
    const children = Array.from({ length: 6 }, (_, i) =>
      spawn(
        process.execPath,
        ['--input-type=module', '-e', script, '--', graphRoot, runRoot, image.id, String(i + 1)],
        { stdio: ['ignore', 'inherit', 'inherit'] },
      ),
    );
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0] as number));
    assert.deepEqual(codes, [0, 0, 0, 0, 0, 0]);
    const expected = Array.from({ length: 6 }, (_, i) => [0, 3, 6, 9].map((n) => id((i + 1) * 1000 + n)))
      .flat()
      .sort();
    assert.deepEqual(
      store
        .containers()
        .map((container) => container.id)
        .sort(),
      expected,
    );
    assert.equal(
      readdirSync(join(graphRoot, 'overlay')).filter((name) => name.length === 64).length,
      expected.length + 2,
    );
  },
);

test('HeldLock: leaves a 64-byte mark that others read as containers/storage writes it', async (t) => {
  const { graphRoot } = await scratchStore(t);
  const path = join(graphRoot, 'overlay-images/images.lock');
  using lock = await HeldLock.take(path, 'write');
  assert.equal(lock.mark(), '');
  const mark = lock.stamp(new Date(1_700_000_000_000));
  const bytes = readFileSync(path);
  assert.equal(bytes.length, 64);
  assert.equal(lock.mark(), mark);
  assert.equal(bytes.readBigUInt64LE(0) / 1_000_000n, 1_700_000_000_000n);
  assert.equal(bytes.readUInt32LE(16), process.pid);
});

test('Store: deletes trees deeper than a path may be long, with names that are no UTF-8', needsRoot, async (t) => {
  const { store, graphRoot } = await scratchStore(t);
  const deep = Array.from({ length: 16 }, (_, i) => `${i}\xff`.padEnd(250, 'd')).join('/');
  const image = await addImage(
    store,
    makeImage([
      [
        { path: deep, kind: 'file', content: 'x' },
        ...Array.from({ length: 80 }, (_, i) => ({ path: `f${i}\xfe`, kind: 'file' as const })),
      ],
    ]),
    [],
  );
  await store.removeImage(image.id);
  assert.deepEqual(readdirSync(join(graphRoot, 'overlay/tempdirs')), []);
  assert.equal(existsSync(join(graphRoot, 'overlay', image.layer ?? '')), false);
});
