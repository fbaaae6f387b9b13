import type { Engine } from './engine.ts';
import { storedImage } from './find-image.ts';

/** Ids of an image and of all images of the store that are built on its layers. Errors: not-found; invalid when an id prefix fits several. */
export async function imageFamily(engine: Engine, nameOrId: string): Promise<ReadonlySet<string>> {
  const { store, image } = await storedImage(engine, nameOrId, 'find');
  const family = new Set([image.id]);
  if (image.layer === undefined) return family;
  const parents = new Map(store.layers().map(({ id, parent }) => [id, parent]));
  for (const other of store.images()) {
    let depth = 0;
    for (let id = other.layer; id !== undefined && depth <= parents.size; id = parents.get(id), depth++)
      if (id === image.layer) family.add(other.id);
  }
  return family;
}
