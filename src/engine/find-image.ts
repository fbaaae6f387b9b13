import { TareError, isKind } from '../base/errors.ts';
import { familiarReference, formatReference, parseReference, withDefaultTag } from '../spec/reference.ts';
import type { ImageRecord, Store } from '../storage/mod.ts';
import type { Engine } from './engine.ts';

/** An image of the store, and the name of it that was meant; no name when it was found by id. */
export interface Found {
  readonly image: ImageRecord;
  readonly name?: string;
}

/**
 * Finds an image in the store by name, id or unique id prefix; a name without registry also means one built here (localhost/NAME), and `docker://` may stand before a
 * name. Undefined when there is none. Errors: invalid when an id prefix fits several images.
 */
export function findImage(store: Store, text: string): ImageRecord | undefined {
  return findNamed(store, text)?.image;
}

/** The same with the name that was meant. Errors: as `findImage`. */
export function findNamed(store: Store, text: string): Found | undefined {
  const name = text.startsWith('docker://') ? text.slice('docker://'.length) : text;
  const names = namesOf(name);
  const found = names.length === 0 ? undefined : store.firstImage(names);
  if (found !== undefined) return { image: found.image, name: found.reference };
  const image = store.image(name);
  if (image === undefined) return undefined;
  return image.names.includes(name) ? { image, name } : { image };
}

/** What a reference may be called in the store. */
function namesOf(text: string): string[] {
  try {
    const parsed = withDefaultTag(parseReference(text));
    const full = formatReference(parsed);
    // A name that names no registry may also be one of an image built or tagged here.
    return /^(?:index\.)?docker\.io\//.test(text) || parsed.domain !== 'docker.io'
      ? [full]
      : [full, `localhost/${familiarReference(parsed)}`];
  } catch (error) {
    if (isKind(error, 'invalid')) return [];
    throw error;
  }
}

/** An image of the store by name or id, for one who needs it. Errors: `not-found`; `invalid` when an id prefix fits several. */
export async function storedImage(
  engine: Engine,
  nameOrId: string,
  doing: string,
): Promise<Found & { readonly store: Store }> {
  const store = await engine.store();
  const found = findNamed(store, nameOrId);
  if (found === undefined) throw new TareError('not-found', `Cannot ${doing} image ${nameOrId}: no such image`);
  return { store, ...found };
}
