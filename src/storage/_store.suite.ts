import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { makeTar } from '../archive/_tar.suite.ts';
import type { TarInput } from '../archive/mod.ts';
import type { Digest, DiffId } from '../spec/digest.ts';
import { type ImageRecord, type StagedLayer, Store } from './mod.ts';

export type Entries = readonly (TarInput & { readonly content?: string | Uint8Array })[];

export const sha256 = (bytes: Uint8Array): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;

/** An image made here: what a registry would have served. */
export interface TestImage {
  readonly tars: readonly Buffer[];
  readonly diffIds: readonly DiffId[];
  readonly config: Buffer;
  readonly manifest: Buffer;
}

/** An image with these layers, bottom first; `label` makes configs differ. */
export function makeImage(layers: readonly Entries[], label = ''): TestImage {
  return imageOfTars(
    layers.map((entries) => makeTar(entries)),
    label,
  );
}

/** An image whose layers are these tars. */
export function imageOfTars(tars: readonly Buffer[], label = ''): TestImage {
  const diffIds = tars.map((tar) => sha256(tar) as string as DiffId);
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      created: '2024-05-06T07:08:09Z',
      config: { Cmd: ['/bin/sh'], Labels: { label } },
      rootfs: { type: 'layers', diff_ids: diffIds },
      history: tars.map(() => ({ created: '2024-05-06T07:08:09Z', created_by: 'test' })),
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: sha256(config), size: config.length },
      layers: tars.map((tar) => ({
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        digest: sha256(tar),
        size: tar.length,
      })),
    }),
  );
  return { tars, diffIds, config, manifest };
}

/** Unpacks one tar into staging. */
export async function stage(store: Store, tar: Uint8Array): Promise<StagedLayer> {
  await using writer = await store.stageLayer({
    compressedDigest: sha256(tar),
    compressedSizeBytes: tar.length,
    mediaType: 'application/vnd.oci.image.layer.v1.tar',
  });
  await writer.write(tar);
  return await writer.finish();
}

/** What a pull does: stages the layers that are missing, in parallel, and commits. */
export async function addImage(store: Store, image: TestImage, names: readonly string[]): Promise<ImageRecord> {
  const layers = await Promise.all(
    image.diffIds.map(async (diffId, i) => {
      const tar = image.tars[i] as Buffer; // one per diffId
      return (await store.hasLayer(image.diffIds.slice(0, i + 1))) ? { diffId } : stage(store, tar);
    }),
  );
  return store.commitImage({ layers, config: image.config, manifest: image.manifest, names });
}

function mountsBelow(dir: string): string[] {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '');
  return points.filter((point) => point.startsWith(`${dir}/`)).reverse();
}

/** A store of its own for a test, deleted afterwards. */
export async function scratchStore(
  t: TestContext,
): Promise<{ store: Store; dir: string; graphRoot: string; runRoot: string }> {
  const dir = mkdtempSync(join(tmpdir(), 'tare-store-'));
  t.after(() => {
    // Podman mounts the driver's directory onto itself and leaves it so.
    for (const mount of mountsBelow(dir)) spawnSync('umount', ['-l', mount]);
    rmSync(dir, { recursive: true, force: true });
  });
  const graphRoot = join(dir, 'graph');
  const runRoot = join(dir, 'run');
  return { store: await Store.open({ graphRoot, runRoot }), dir, graphRoot, runRoot };
}

export const needsRoot = process.getuid?.() === 0 ? {} : { skip: 'needs root: owners and overlay attributes' };
