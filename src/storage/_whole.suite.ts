import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Store } from './mod.ts';

/** Asserts that records and directories of a quiet store say the same, with nothing left over. */
export function checkWhole(graphRoot: string, store: Store): void {
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
  for (const kind of ['layers', 'images', 'containers'])
    assert.deepEqual(
      names(`overlay-${kind}`).filter((name) => name.startsWith('.tmp')),
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
