/** What the tests of pullImage share: one image, its layout, and ways to pull and to check. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { isKind, type ErrorKind } from '../base/errors.ts';
import { parsePlatform } from '../spec/mod.ts';
import { buildImage, buildIndex, hostArchitecture, type BuiltImage } from '../../test/support/image.ts';
import { tarOf } from '../../test/support/tar.ts';
import { parseImageLocation } from './location.ts';
import type { LayerOrigin } from './store.ts';
import { MemoryImageStore } from './memory-store.ts';
import { openImageSource } from './open-source.ts';
import { pullImage, type PullOptions } from './pull.ts';

export const platform = parsePlatform(`linux/${hostArchitecture()}`);
export const temp = mkdtempSync(join(tmpdir(), 'tare-pull-'));
after(() => rmSync(temp, { recursive: true }));

export const layers = [
  tarOf([{ name: 'a', content: 'first' }]),
  tarOf([{ name: 'b', content: Buffer.alloc(300_000, 7) }]),
  tarOf([{ name: '.wh.a' }]),
  tarOf([{ name: 'c', type: 'hardlink', link: 'b' }]),
];
export const image = buildImage({ layers, config: { Cmd: ['sh'] } });
export const other = buildImage({ layers: [layers[0] ?? Buffer.alloc(0)], architecture: 's390x' });
export const index = buildIndex([
  { image: other, architecture: 's390x' },
  { image, architecture: hostArchitecture() },
]);

export async function pull(
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
export function assertPulled(store: MemoryImageStore, expected: BuiltImage, names: readonly string[]): void {
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
export function originOf(store: MemoryImageStore): LayerOrigin | undefined {
  const layer = store.images[0]?.layers[0];
  return layer && 'origin' in layer ? layer.origin : undefined;
}

export const fails = (promise: Promise<unknown>, kind: ErrorKind, message: RegExp): Promise<void> =>
  assert.rejects(promise, (error) => {
    assert.ok(isKind(error, kind), String(error));
    assert.match(error.message, message);
    return true;
  });
