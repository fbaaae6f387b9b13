import { isKind } from '../base/errors.ts';
import type { Engine } from './engine.ts';
import { resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';

/** Whether there is such a container, running or not; a creation or removal that was killed is none. Errors: invalid when the beginning of an id fits several; denied. */
export function containerExists(engine: Engine, nameOrId: string): Promise<boolean> {
  return isThere(engine, nameOrId, resolveContainer);
}

/** Whether `resolve` finds it, also after what dead processes left of it was collected. Errors: those of `resolve` but not-found. */
export async function isThere(
  engine: Engine,
  nameOrId: string,
  resolve: (engine: Engine, nameOrId: string) => string,
): Promise<boolean> {
  try {
    const id = resolve(engine, nameOrId);
    await reconcile(engine, id);
    return resolve(engine, id) === id;
  } catch (error) {
    if (isKind(error, 'not-found')) return false;
    throw error;
  }
}
