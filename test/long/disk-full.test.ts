/** A pull, a removal and a container on a disk that is full at every possible step. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { isKind } from '../../src/base/errors.ts';
import { openImageSource, parseImageLocation, pullImage } from '../../src/image/mod.ts';
import { parsePlatform } from '../../src/spec/mod.ts';
import { checkWhole } from '../../src/storage/_whole.suite.ts';
import { scratchStore } from '../../src/storage/_store.suite.ts';
import { Store } from '../../src/storage/mod.ts';
import { blobsOf, buildImage, hostArchitecture, writeLayout } from '../support/image.ts';
import { needs } from '../support/needs.ts';
import { tarOf } from '../support/tar.ts';

const skip = needs.root() || needs.program('mount');
const platform = parsePlatform(`linux/${hostArchitecture()}`);
const layers = Array.from({ length: 3 }, (_, n) =>
  tarOf([
    ...Array.from({ length: 100 }, (_unused, i) => ({ name: `d${n}/f${i}`, content: `${n} ${i} `.repeat(300) })),
    { name: `big${n}`, content: Buffer.alloc(200_000, n) },
  ]),
);
const PAGE = 4096;

interface Disk {
  readonly graphRoot: string;
  readonly runRoot: string;
  /** Leaves that many free pages. */
  fill(freePages: number): void;
  /** Gives all of it back. */
  clear(): void;
}

/** A store on a tmpfs of `pages`, and an image with three layers that it takes about 900 pages. */
async function small(t: TestContext, pages: number): Promise<{ disk: Disk; pull: (store: Store) => Promise<unknown> }> {
  const { dir } = await scratchStore(t);
  const at = join(dir, 'small');
  mkdirSync(at);
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${pages * PAGE}`, 'tmpfs', at]);
  assert.equal(mounted.status, 0, String(mounted.stderr));
  const layout = join(dir, 'layout');
  const image = buildImage({ layers });
  writeLayout(layout, blobsOf(image), { x: image.manifest });
  const filler = join(at, 'filler');
  const clear = (): void => rmSync(filler, { force: true });
  return {
    disk: {
      graphRoot: join(at, 'graph'),
      runRoot: join(at, 'run'),
      clear,
      fill(freePages) {
        clear();
        const left = Math.max(0, statfsSync(at).bfree - freePages);
        writeFileSync(filler, Buffer.alloc(left * PAGE, 1));
      },
    },
    async pull(store) {
      await using source = await openImageSource(parseImageLocation(`oci:${layout}:x`), { cwd: '/' });
      return await pullImage(source, store, { platform });
    },
  };
}

/** Fails as it should, with everything whole, both for this store and for the next that opens it. */
async function failsCleanly(doing: Promise<unknown>, disk: Disk, store: Store, what: string): Promise<void> {
  await assert.rejects(doing, (error) => {
    assert.ok(isKind(error, 'exhausted'), `${what}: ${String(error)}`);
    assert.match(error.message, /full|space|ENOSPC/i, what);
    return true;
  });
  checkWhole(disk.graphRoot, store);
  checkWhole(disk.graphRoot, await Store.open(disk));
}

test(
  'pull: whatever step the disk becomes full at, nothing of the image is left, and it works when there is room',
  { skip },
  async (t) => {
    const { disk, pull } = await small(t, 4000);
    const store = await Store.open(disk);
    let failures = 0;
    // What the pull needs in the end; then every step of the last pages, where the records are written.
    const steps = [...Array.from({ length: 30 }, (_, i) => i), ...Array.from({ length: 60 }, (_, i) => 30 + i * 25)];
    for (const free of steps) {
      disk.fill(free);
      const pulling = pull(store);
      const done = await pulling.then(
        () => true,
        () => false,
      );
      if (!done) {
        failures++;
        await failsCleanly(pulling, disk, store, `${free} free pages`);
        assert.deepEqual(store.images(), [], `${free} free pages`);
      } else {
        assert.equal(store.images().length, 1);
        await store.removeImage(store.images()[0]?.id ?? '');
        checkWhole(disk.graphRoot, store);
      }
      disk.clear();
    }
    t.diagnostic(`${failures} of ${steps.length} pulls failed`);
    assert.ok(failures > 40 && failures < steps.length);
    await pull(store);
    assert.equal(store.images().length, 1);
  },
);

test('pull: the pages around the last one it needs, one by one', { skip }, async (t) => {
  const { disk, pull } = await small(t, 4000);
  const store = await Store.open(disk);
  // The least that is enough, by halving; then every count of pages below it.
  let [short, enough] = [0, 3000];
  const attempt = async (free: number): Promise<boolean> => {
    disk.fill(free);
    const pulling = pull(store);
    const done = await pulling.then(
      () => true,
      () => false,
    );
    if (done) await store.removeImage(store.images()[0]?.id ?? '');
    else await failsCleanly(pulling, disk, store, `${free} free pages`);
    disk.clear();
    return done;
  };
  while (short + 1 < enough) {
    const middle = (short + enough) >> 1;
    if (await attempt(middle)) enough = middle;
    else short = middle;
  }
  t.diagnostic(`${enough} free pages are enough`);
  for (let free = enough - 40; free < enough + 5; free++) await attempt(free);
  checkWhole(disk.graphRoot, store);
});

test('tag, container and image removal on a full disk: done, or refused with nothing changed', { skip }, async (t) => {
  const { disk, pull } = await small(t, 4000);
  const store = await Store.open(disk);
  for (let free = 0; free < 12; free++) {
    await pull(store);
    const [image] = store.images();
    const id = image?.id ?? assert.fail();
    disk.fill(free);
    const steps: [string, () => Promise<unknown>][] = [
      ['tag', () => store.tag(id, `localhost/other:${free}`)],
      [
        'create',
        () => store.createContainer({ id: 'c'.repeat(64), imageId: id, volatile: false, metadata: 'm'.repeat(5000) }),
      ],
      ['remove container', () => store.removeContainer('c'.repeat(64))],
      ['untag', () => store.untag(`localhost/other:${free}`)],
      ['remove image', () => store.removeImage(id, { force: true })],
    ];
    for (const [what, step] of steps) {
      try {
        await step();
      } catch (error) {
        assert.ok(isKind(error, 'exhausted') || isKind(error, 'not-found'), `${what}, ${free} pages: ${String(error)}`);
      }
      // A mark may be left where there is no room to take it away: nobody sees it, and with room it goes.
      const seen = await Store.open(disk);
      for (const image of seen.images()) assert.equal(seen.imageLayers(image).length, layers.length);
      for (const container of seen.containers()) assert.equal(seen.rootfs(container.id).lowers.length, layers.length);
    }
    disk.clear();
    checkWhole(disk.graphRoot, await Store.open(disk));
    await store.removeContainer('c'.repeat(64));
    if (store.image(id) !== undefined) await store.removeImage(id, { force: true });
    assert.deepEqual([store.images(), store.layers(), store.containers()], [[], [], []], `${free} pages`);
    checkWhole(disk.graphRoot, store);
  }
});
