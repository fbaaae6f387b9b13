import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { memoryDir } from '../archive/_attack.suite.ts';
import { canary, hostileLayers, listing } from '../archive/_hostile.suite.ts';
import { rebuilt } from '../archive/_trees.suite.ts';
import { isKind } from '../base/errors.ts';
import { addImage, imageOfTars, makeImage, needsRoot, sha256 } from './_store.suite.ts';
import { Store } from './mod.ts';

/** What is there, without times and inodes: staging comes and goes. */
function shape(graphRoot: string): string {
  const lines = listing(graphRoot).split('\n');
  return lines.map((line) => line.split(' ').slice(0, 4).join(' ')).join('\n');
}

test(
  'Store: a hostile layer is refused with nothing changed and nothing left, or goes in and comes out as the same tar',
  needsRoot,
  async () => {
    const dir = memoryDir('hostile');
    try {
      const graphRoot = join(dir, 'graph');
      const store = await Store.open({ graphRoot, runRoot: join(dir, 'run') });
      const records = (): string[] =>
        ['layers', 'images'].map((kind) => readFileSync(join(graphRoot, `overlay-${kind}/${kind}.json`), 'utf8'));
      await addImage(store, makeImage([[{ path: 'kept', kind: 'file' }]]), ['localhost/kept:1']);
      const first = await addImage(store, makeImage([[{ path: 'first', kind: 'file' }]]), []);
      await store.removeImage(first.id); // From here on all lock files are there.
      mkdirSync(join(dir, 'outside'));
      const check = canary(join(dir, 'outside'));
      const quiet = shape(graphRoot);
      const before = records();
      for (const [what, layer] of Object.entries(hostileLayers(join(dir, 'outside')))) {
        if (layer.big === true) continue;
        const tar = layer.tar();
        const adding = addImage(store, imageOfTars([tar]), ['localhost/hostile:1']);
        if (layer.refused !== undefined) {
          const kind = layer.refused;
          await assert.rejects(adding, (error) => isKind(error, kind), what);
          assert.deepEqual(records(), before, what);
        } else {
          const record = await adding;
          const [top] = store.imageLayers(record);
          assert.equal(top?.diffId, sha256(tar), what);
          const split = gunzipSync(readFileSync(store.tarSplitPath(top?.id ?? ''))).toString();
          assert.ok((await rebuilt(store.diffPath(top?.id ?? ''), split)).equals(tar), `${what}: the tar comes back`);
          await store.removeImage(record.id);
        }
        check();
        assert.equal(shape(graphRoot), quiet, what);
      }
      assert.deepEqual(
        store.images().map(({ names }) => names),
        [['localhost/kept:1']],
      );
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
);
