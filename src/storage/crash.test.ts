import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomizer } from '../archive/_tar.suite.ts';
import { isKind } from '../base/errors.ts';
import { addImage, makeImage, needsRoot, scratchStore, stage } from './_store.suite.ts';
import { Store } from './mod.ts';

const ROUNDS = 50;

/** Asserts that records and directories of a quiet store say the same, with nothing left over. */
function checkWhole(graphRoot: string, store: Store): void {
  const at = (...parts: string[]): string => join(graphRoot, ...parts);
  const names = (...parts: string[]): string[] => (existsSync(at(...parts)) ? readdirSync(at(...parts)).sort() : []);
  const records = (kind: string): { id: string }[] =>
    [`overlay-${kind}/${kind}.json`, `overlay-${kind}/volatile-${kind}.json`].flatMap((file) =>
      existsSync(at(file)) ? (JSON.parse(readFileSync(at(file), 'utf8')) as { id: string }[]) : [],
    );
  const layers = store.layers();
  const ids = layers.map((layer) => layer.id).sort();
  assert.deepEqual(
    records('layers')
      .map(({ id }) => id)
      .sort(),
    ids,
    'no layer is incomplete',
  );
  assert.deepEqual(
    names('overlay').filter((name) => name.length === 64),
    ids,
    'each layer has its directory, and no other is there',
  );
  assert.deepEqual(
    names('overlay/l')
      .map((link) => readlinkSync(at('overlay/l', link)))
      .sort(),
    ids.map((id) => `../${id}/diff`),
  );
  assert.deepEqual(names('overlay/tempdirs'), []);
  assert.deepEqual(names('overlay-layers/tmp'), []);
  assert.deepEqual(
    names('overlay-layers').filter((name) => name.startsWith('.tmp') && name !== '.tmp-tare-volatile-layers.json'),
    [],
  );
  const pulled = layers.filter((layer) => layer.diffId !== undefined).map((layer) => `${layer.id}.tar-split.gz`);
  assert.deepEqual(
    names('overlay-layers').filter((name) => name.endsWith('.gz')),
    pulled.sort(),
  );
  const images = store.images();
  assert.deepEqual(
    names('overlay-images').filter((name) => name.length === 64),
    images.map(({ id }) => id as string).sort(),
  );
  const used = new Set<string>();
  for (const image of images) {
    for (const layer of store.imageLayers(image)) used.add(layer.id);
    assert.ok(store.readConfig(image).length > 0 && store.readManifest(image).length > 0);
  }
  assert.deepEqual(
    records('containers')
      .map(({ id }) => id)
      .sort(),
    store
      .containers()
      .map(({ id }) => id)
      .sort(),
  );
  for (const container of store.containers()) {
    used.add(container.layer);
    assert.ok(store.rootfs(container.id).lowers.every((lower) => existsSync(lower)));
  }
  assert.deepEqual(
    ids.filter((id) => !used.has(id)),
    [],
    'no layer without owner',
  );
}

test(
  `Store: kill -9 at ${ROUNDS} random moments leaves nothing half visible, and the next opener nothing behind`,
  needsRoot,
  async (t) => {
    const { graphRoot, runRoot } = await scratchStore(t);
    const random = randomizer(Date.now());
    for (let round = 0; round < ROUNDS; round++) {
      const child = spawn(
        process.execPath,
        [join(import.meta.dirname, '_crash.suite.ts'), graphRoot, runRoot, String(1 + random(1e6))],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      await once(child.stdout, 'data');
      await sleep(random(120));
      child.kill('SIGKILL');
      await once(child, 'exit');
      const store = await Store.open({ graphRoot, runRoot });
      // What a reader sees is whole, before anybody cleans up.
      for (const image of store.images())
        for (const layer of store.imageLayers(image)) assert.ok(existsSync(store.diffPath(layer.id)));
      for (const container of store.containers()) assert.ok(store.rootfs(container.id).lowers.length > 0);
      const probe = await addImage(store, makeImage([[{ path: 'probe', kind: 'file' }]]), ['localhost/probe:1']);
      await store.removeImage(probe.id);
      checkWhole(graphRoot, store);
    }
    if (spawnSync('which', ['podman']).status === 0) {
      const argv = [
        '--root',
        graphRoot,
        '--runroot',
        runRoot,
        '--storage-driver',
        'overlay',
        'images',
        '-aq',
        '--no-trunc',
      ];
      const list = spawnSync('podman', argv, { encoding: 'utf8' });
      assert.equal(list.status, 0, list.stderr);
      const theirs = new Set(list.stdout.split('\n').filter((line) => line !== ''));
      const ours = (await Store.open({ graphRoot, runRoot })).images().map(({ id }) => `sha256:${id}`);
      assert.deepEqual([...theirs].sort(), ours.sort());
    }
  },
);

test('Store: a full disk fails each operation cleanly', needsRoot, async (t) => {
  const { dir } = await scratchStore(t);
  const small = join(dir, 'small');
  mkdirSync(small);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', small]).status !== 0)
    return t.skip('cannot mount tmpfs here');
  const graphRoot = join(small, 'graph');
  const runRoot = join(small, 'run');
  const store = await Store.open({ graphRoot, runRoot });
  const base = await addImage(store, makeImage([[{ path: 'base', kind: 'file' }]]), ['localhost/base:1']);
  const exhausted = (error: unknown): boolean => isKind(error, 'exhausted');
  const big = makeImage([[{ path: 'big', kind: 'file', content: Buffer.alloc(4_000_000, 1) }]]);
  await assert.rejects(stage(store, big.tars[0] ?? assert.fail()), exhausted);
  checkWhole(graphRoot, store);
  // Fill what is left, then try each change.
  spawnSync('dd', ['if=/dev/zero', `of=${join(small, 'filler')}`, 'bs=4k']);
  for (const volatile of [true, false]) {
    await assert.rejects(
      store.createContainer({ id: 'c'.repeat(64), imageId: base.id, volatile, metadata: 'x'.repeat(9000) }),
      exhausted,
    );
  }
  await assert.rejects(
    addImage(store, makeImage([[{ path: 'other', kind: 'file' }]]), ['localhost/other:1']),
    exhausted,
  );
  await assert.rejects(store.tag('localhost/base:1', 'localhost/x:1'), exhausted);
  spawnSync('rm', [join(small, 'filler')]);
  const container = await store.createContainer({ id: 'c'.repeat(64), imageId: base.id, volatile: true, metadata: '' });
  await store.removeContainer(container.id);
  await addImage(store, makeImage([[{ path: 'other', kind: 'file' }]]), ['localhost/other:1']);
  await store.removeImage('localhost/other:1');
  checkWhole(graphRoot, store);
  assert.deepEqual(
    store.images().map(({ names }) => names),
    [['localhost/base:1']],
  );
});
