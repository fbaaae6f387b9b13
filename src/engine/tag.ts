import { TareError, isKind } from '../base/errors.ts';
import { familiarReference, formatReference, parseReference, withDefaultTag } from '../spec/reference.ts';
import { emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { findNamed, storedImage } from './find-image.ts';

/**
 * A name that an image gets here, in full: `latest` unless it has a tag, and `localhost/` unless it names a registry, as podman does it. Errors: `invalid`, also for a name with a
 * digest.
 */
export function newImageName(text: string): string {
  const reference = withDefaultTag(parseReference(text));
  if (reference.digest !== undefined)
    throw new TareError('invalid', `Cannot name an image ${text}: a digest follows from its contents`);
  const isExplicit = reference.domain !== 'docker.io' || /^(?:index\.)?docker\.io\//.test(text);
  return isExplicit ? formatReference(reference) : `localhost/${familiarReference(reference)}`;
}

/** Gives an image more names; each moves from the image that has it. Errors: `not-found`, `invalid`. */
export async function tagImage(engine: Engine, nameOrId: string, names: readonly string[]): Promise<void> {
  const full = names.map(newImageName);
  const { store, image } = await storedImage(engine, nameOrId, 'tag');
  for (const name of full) {
    await store.tag(image.id, name);
    emit(engine, { type: 'image', action: 'tag', id: image.id, name });
  }
}

/** Takes names from an image, all of them unless stated; the image stays. Errors: `not-found`, also for a name that it does not have. */
export async function untagImage(engine: Engine, nameOrId: string, names: readonly string[]): Promise<void> {
  const { store, image } = await storedImage(engine, nameOrId, 'untag');
  const doomed = names.map((name) => {
    const found = findNamed(store, name);
    if (found?.name === undefined || found.image.id !== image.id)
      throw new TareError('not-found', `Cannot untag ${name}: image ${nameOrId} does not have that name`);
    return found.name;
  });
  for (const name of names.length === 0 ? image.names : doomed) {
    try {
      await store.untag(name);
      emit(engine, { type: 'image', action: 'untag', id: image.id, name });
    } catch (error) {
      // Somebody else was faster.
      if (!isKind(error, 'not-found')) throw error;
    }
  }
}
