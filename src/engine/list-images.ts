import { parseImageConfig } from '../spec/image-config.ts';
import type { ImageRecord, Store } from '../storage/mod.ts';
import type { Engine } from './engine.ts';

/** One line of `images`. */
export interface ImageSummary {
  readonly id: string;
  readonly names: readonly string[];
  /** `repository@digest` for each repository it has a name in. */
  readonly repoDigests: readonly string[];
  readonly namesHistory: readonly string[];
  readonly digest: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** Uncompressed size of all layers. */
  readonly sizeBytes: number;
  readonly labels: Readonly<Record<string, string>>;
  /** How many containers of the store are of this image. */
  readonly containers: number;
}

/** All images, newest first. */
export async function listImages(engine: Engine): Promise<ImageSummary[]> {
  const store = await engine.store();
  const layers = new Map(store.layers().map((layer) => [layer.id, layer]));
  const users = new Map<string, number>();
  for (const { imageId } of store.containers()) users.set(imageId, (users.get(imageId) ?? 0) + 1);
  const sizeOf = (image: ImageRecord): number => {
    let size = 0;
    const seen = new Set<string>();
    for (let id = image.layer; id !== undefined && !seen.has(id); id = layers.get(id)?.parent) {
      seen.add(id);
      size += layers.get(id)?.sizeBytes ?? 0;
    }
    return size;
  };
  return store
    .images()
    .map((image) => ({
      id: image.id,
      names: image.names,
      repoDigests: repoDigests(image),
      namesHistory: image.namesHistory,
      digest: image.digest ?? '',
      createdAt: image.created,
      sizeBytes: sizeOf(image),
      get labels() {
        return labelsOf(store, image);
      },
      containers: users.get(image.id) ?? 0,
    }))
    .sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
}

/** Read when they are asked for: most lists do not show them. */
function labelsOf(store: Store, image: ImageRecord): Readonly<Record<string, string>> {
  try {
    return parseImageConfig(store.readConfig(image)).process.labels;
  } catch {
    // A damaged image is listed all the same: it must be possible to remove it.
    return {};
  }
}

/** `repository@digest` for each repository an image has a name in and each manifest it is known by. */
export function repoDigests(image: ImageRecord): string[] {
  const repositories = new Set(image.names.map((name) => name.replace(/@.*$/, '').replace(/:[^/:]*$/, '')));
  return [...repositories].flatMap((repository) => image.digests.map((digest) => `${repository}@${digest}`));
}
