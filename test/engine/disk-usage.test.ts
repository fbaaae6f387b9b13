/** What is on the disk, and what goes when nobody needs it. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createContainer,
  diskUsage,
  listContainers,
  pruneContainers,
  pruneSystem,
  pullImage,
  removeContainer,
  runContainer,
} from '../../src/engine/mod.ts';
import { blobsOf, writeLayout } from '../support/image.ts';
import { buildBusybox, noBusybox } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { onTerminal } from '../cli/pty.ts';
import { canRun, Lab } from './lab.ts';

const skip = canRun;
const MB = 1_000_000;

async function withImage(lab: Lab): Promise<string> {
  const dir = join(lab.dir, 'layout');
  mkdirSync(dir);
  const busybox = buildBusybox();
  writeLayout(dir, blobsOf(busybox), { box: busybox.manifest });
  return (await pullImage(lab.engine, `oci:${dir}:box`, {})).imageId;
}

test(
  'diskUsage: images, containers and kept blobs, also while a container writes',
  { skip: skip || noBusybox() },
  async () => {
    await using lab = new Lab();
    assert.deepEqual((await diskUsage(lab.engine)).images.items, []);
    const image = await withImage(lab);
    const busy = 'echo a line; head -c 3000000 /dev/zero >/big; while :; do mkdir /d /d/e; rmdir /d/e /d; done';
    const run = { source: image, argv: ['sh', '-c', busy], name: 'busy' };
    await runContainer(lab.engine, run, { detach: true });
    await createContainer(lab.engine, { source: lab.source, argv: ['true'], name: 'idle' });
    for (let tries = 0; tries < 1000; tries++) {
      const written = (await diskUsage(lab.engine)).containers.items.find(({ name }) => name === 'busy');
      if (written !== undefined && written.writableBytes >= 3 * MB && written.logBytes > 0) break;
      await sleep(10);
    }
    const { images, containers, blobs } = await diskUsage(lab.engine);
    assert.deepEqual([images.items.length, images.active, images.reclaimableBytes], [1, 1, 0]);
    assert.ok(images.sizeBytes > MB && images.items[0]?.uniqueBytes === images.sizeBytes);
    assert.deepEqual([containers.items.length, containers.active], [2, 1]);
    assert.ok(containers.sizeBytes >= 3 * MB && containers.reclaimableBytes < MB);
    assert.deepEqual([blobs.items.length, blobs.items[0]?.wanted, blobs.reclaimableBytes], [1, true, 0]);
    await removeContainer(lab.engine, 'busy', { force: true });
    const after = await diskUsage(lab.engine);
    assert.deepEqual([after.images.active, after.images.reclaimableBytes], [0, images.sizeBytes]);
    // Everything goes, a blob of a layer that is no more as well, and it says how much that was.
    writeFileSync(join(lab.engine.cacheDir, 'blobs', `sha256-${'0'.repeat(64)}`), Buffer.alloc(1000));
    const pruned = await pruneSystem(lab.engine, { all: true });
    assert.deepEqual([pruned.containers.length, pruned.images], [1, [image]]);
    assert.ok(pruned.freedBytes >= images.sizeBytes + 1000);
    assert.deepEqual(readdirSync(join(lab.engine.cacheDir, 'blobs')), []);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  'pruneContainers: only what does not run, by time and label; many at once remove each once',
  { skip },
  async () => {
    await using lab = new Lab();
    await lab.detached(['sleep', '1000'], { name: 'runs' });
    await lab.run(['true'], { autoRemove: false, name: 'ended', labels: { keep: '1' } });
    const create = (name: string, labels: Record<string, string>): Promise<{ id: string }> =>
      createContainer(lab.engine, { source: lab.source, argv: ['true'], name, labels });
    await create('plain', {});
    await create('job', { job: 'a' });
    const names = (): string[] =>
      listContainers(lab.engine)
        .map(({ name }) => name)
        .sort();
    assert.deepEqual((await pruneContainers(lab.engine, { createdBefore: '2020-01-01T00:00:00Z' })).removed, []);
    await pruneContainers(lab.engine, { labels: ['job=a'] });
    assert.deepEqual(names(), ['ended', 'plain', 'runs']);
    await pruneContainers(lab.engine, { withoutLabels: ['keep'] });
    assert.deepEqual(names(), ['ended', 'runs']);
    for (let count = 0; count < 5; count++) await create(`n${count}`, {});
    const all = await Promise.all([1, 2, 3].map(() => pruneContainers(lab.anotherEngine())));
    assert.equal(new Set(all.flatMap(({ removed }) => removed)).size, 6);
    assert.deepEqual(names(), ['runs']);
  },
);

test(
  'tare container prune, system prune: they ask at a terminal, and only there',
  { skip: skip || needs.program('python3') },
  async () => {
    await using lab = new Lab();
    await createContainer(lab.engine, { source: lab.source, argv: ['true'], name: 'old' });
    for (const verb of ['container', 'system']) {
      const silent = await lab.tare(verb, 'prune');
      assert.equal(silent.code, 125);
      assert.match(silent.stderr, /there is no terminal; use --force/);
      const no = await onTerminal(
        [...lab.options.self, verb, 'prune'],
        [
          ['expect', '[y/N]'],
          ['send', 'n\r'],
        ],
        {},
      );
      assert.equal(no.code, 0, no.output);
      assert.match(no.output, /WARNING!/);
    }
    assert.equal(listContainers(lab.engine).length, 1);
    const yes = await onTerminal(
      [...lab.options.self, 'container', 'prune'],
      [
        ['expect', '[y/N]'],
        ['send', 'y\r'],
      ],
      {},
    );
    assert.equal(yes.code, 0, yes.output);
    assert.equal(listContainers(lab.engine).length, 0);
    assert.deepEqual(await lab.tare('system', 'prune', '-f'), {
      code: 0,
      stdout: 'Total reclaimed space: 0B\n',
      stderr: '',
    });
  },
);
