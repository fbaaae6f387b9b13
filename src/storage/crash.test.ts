import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomizer } from '../archive/_tar.suite.ts';
import { isKind } from '../base/errors.ts';
import { addImage, makeImage, needsRoot, scratchStore, stage } from './_store.suite.ts';
import { checkWhole } from './_whole.suite.ts';
import { Store } from './mod.ts';

const ROUNDS = 50;

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
