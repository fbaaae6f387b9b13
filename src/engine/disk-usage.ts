import { statSync } from 'node:fs';
import { join } from 'node:path';
import { containerDiskSize, type ContainerDiskSize } from './container-disk-size.ts';
import { namesIn } from './delete.ts';
import type { Engine } from './engine.ts';
import { type ContainerSummary, isUp, listContainers } from './list.ts';
import { type ImageSummary, listImages } from './list-images.ts';
import { findRecord } from './record.ts';
import { listVolumes, type VolumeSummary } from './volumes/list-volumes.ts';
import { volumeSize } from './volumes/volume-size.ts';

/** One kind of things on the disk. */
export interface UsageOfKind<T> {
  readonly items: readonly T[];
  /** How many are in use. */
  readonly active: number;
  readonly sizeBytes: number;
  /** What goes when all that is not in use goes. */
  readonly reclaimableBytes: number;
}

/** An image and its layers: shared with other images, and its own. */
export interface ImageUsage extends ImageSummary {
  readonly sharedBytes: number;
  readonly uniqueBytes: number;
}

export type ContainerUsage = ContainerSummary & ContainerDiskSize;

/** A blob kept of a pull, for pushing the same bytes elsewhere. */
export interface BlobUsage {
  readonly digest: string;
  readonly sizeBytes: number;
  /** Its layer is in the store. */
  readonly wanted: boolean;
}

/** A volume, and the length of its files. */
export interface VolumeUsage extends VolumeSummary {
  readonly sizeBytes: number;
}

export interface DiskUsage {
  readonly images: UsageOfKind<ImageUsage>;
  readonly containers: UsageOfKind<ContainerUsage>;
  readonly volumes: UsageOfKind<VolumeUsage>;
  readonly blobs: UsageOfKind<BlobUsage>;
}

/**
 * What images, containers, volumes and kept blobs take of the disk. Takes no lock: what others add or remove meanwhile is counted or not. Sizes of layers are those recorded with them, those
 * of containers and volumes are measured.
 *
 * Errors: denied; those of the store.
 */
export async function diskUsage(engine: Engine): Promise<DiskUsage> {
  return {
    images: await imagesUsage(engine),
    containers: await containersUsage(engine),
    volumes: usageOf(
      listVolumes(engine).map((volume) => ({ ...volume, sizeBytes: volumeSize(engine, volume.name) })),
      ({ users }) => users.length > 0,
      ({ sizeBytes }) => sizeBytes,
    ),
    blobs: await blobsUsage(engine),
  };
}

async function imagesUsage(engine: Engine): Promise<UsageOfKind<ImageUsage>> {
  const store = await engine.store();
  const summaries = await listImages(engine);
  const parents = new Map(store.layers().map((layer) => [layer.id, layer]));
  const layersOf = new Map<string, ReadonlySet<string>>(
    store.images().map((image) => {
      const ids = new Set<string>();
      for (let id = image.layer; id !== undefined && !ids.has(id); id = parents.get(id)?.parent) ids.add(id);
      return [image.id, ids];
    }),
  );
  const users = new Map<string, number>();
  for (const ids of layersOf.values()) for (const id of ids) users.set(id, (users.get(id) ?? 0) + 1);
  const sizeOf = (ids: Iterable<string>): number => {
    let bytes = 0;
    for (const id of ids) bytes += parents.get(id)?.sizeBytes ?? 0;
    return bytes;
  };
  const items = summaries.map((image) => {
    const uniqueBytes = sizeOf([...(layersOf.get(image.id) ?? [])].filter((id) => users.get(id) === 1));
    // A summary reads its labels when asked: it stays what it is.
    return Object.assign(image, { uniqueBytes, sharedBytes: image.sizeBytes - uniqueBytes });
  });
  const inUse = new Set(
    items.filter(({ containers }) => containers > 0).flatMap(({ id }) => [...(layersOf.get(id) ?? [])]),
  );
  const sizeBytes = sizeOf(users.keys());
  return {
    items,
    active: items.filter(({ containers }) => containers > 0).length,
    sizeBytes,
    reclaimableBytes: sizeBytes - sizeOf(inUse),
  };
}

async function containersUsage(engine: Engine): Promise<UsageOfKind<ContainerUsage>> {
  const items: ContainerUsage[] = [];
  for (const summary of listContainers(engine)) {
    const record = findRecord(engine, summary.id);
    if (record !== undefined) items.push({ ...summary, ...(await containerDiskSize(engine, record)) });
  }
  return usageOf(items, isUp, ({ writableBytes, logBytes }) => writableBytes + logBytes);
}

/** What the blobs kept of pulls take. */
export async function blobsUsage(engine: Engine): Promise<UsageOfKind<BlobUsage>> {
  const dir = join(engine.cacheDir, 'blobs');
  const wanted = new Set<string>(
    (await engine.store()).layers().flatMap(({ compressedDigest }) => compressedDigest ?? []),
  );
  const items: BlobUsage[] = [];
  for (const name of namesIn(dir)) {
    const sizeBytes = statSync(join(dir, name), { throwIfNoEntry: false })?.size;
    const digest = name.replace('-', ':');
    if (sizeBytes !== undefined) items.push({ digest, sizeBytes, wanted: wanted.has(digest) });
  }
  return usageOf(
    items,
    (blob) => blob.wanted,
    (blob) => blob.sizeBytes,
  );
}

function usageOf<T>(items: readonly T[], isActive: (item: T) => boolean, sizeOf: (item: T) => number): UsageOfKind<T> {
  const sum = (list: readonly T[]): number => list.reduce((bytes, item) => bytes + sizeOf(item), 0);
  const idle = items.filter((item) => !isActive(item));
  return { items, active: items.length - idle.length, sizeBytes: sum(items), reclaimableBytes: sum(idle) };
}
