import { isKind } from '../../base/errors.ts';
import type { Engine } from '../engine.ts';
import { reconcile } from '../reconcile.ts';
import { resolvePod } from './pod.ts';

/** Whether there is such a pod; a creation or removal that was killed is none. Errors: invalid when the beginning of an id fits several. */
export async function podExists(engine: Engine, nameOrId: string): Promise<boolean> {
  try {
    const id = resolvePod(engine, nameOrId);
    await reconcile(engine, id);
    return resolvePod(engine, id) === id;
  } catch (error) {
    if (isKind(error, 'not-found')) return false;
    throw error;
  }
}
