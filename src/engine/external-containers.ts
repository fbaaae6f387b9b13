import type { Engine } from './engine.ts';
import type { ContainerSummary } from './list.ts';
import { containerIds } from './names.ts';
import { MOUNT_OF } from './volumes/take-image.ts';

/** A container of the shared store that another engine made: podman's, buildah's. What it does only its maker knows. */
export type ExternalContainer = Pick<ContainerSummary, 'id' | 'name' | 'image' | 'imageId' | 'createdAt'>;

/** Containers of the store that are not Tare's, newest first: what else keeps images from being removed. */
export async function externalContainers(engine: Engine): Promise<ExternalContainer[]> {
  const own = new Set(containerIds(engine));
  const store = await engine.store();
  const names = new Map(store.images().map((image) => [image.id as string, image.names[0]]));
  return store
    .containers()
    .filter(({ id, metadata }) => !own.has(id) && !metadata.startsWith(`{"${MOUNT_OF}"`))
    .map(({ id, names: [name], imageId, created }) => ({
      id,
      name: name ?? id.slice(0, 12),
      image: names.get(imageId) ?? imageId.slice(0, 12),
      imageId,
      createdAt: created,
    }))
    .sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
}
