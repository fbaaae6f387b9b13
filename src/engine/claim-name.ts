import { isKind } from '../base/errors.ts';
import type { Engine } from './engine.ts';
import { holderOf, reserveName } from './names.ts';
import { reconcile } from './reconcile.ts';
import { settleHolder } from './settle-names.ts';

/**
 * Reserves a name that somebody asked for, after what dead processes left of its holder was collected: a creation, a removal, a renaming that did not come to its end, an ended
 * container that was to remove itself. Errors: already-exists, naming the holder.
 */
export async function claimName(engine: Engine, name: string, id: string): Promise<void> {
  try {
    reserveName(engine, name, id);
  } catch (error) {
    if (!isKind(error, 'already-exists')) throw error;
    const holder = holderOf(engine, name);
    if (holder !== undefined) {
      await reconcile(engine, holder);
      await settleHolder(engine, holder);
    }
    reserveName(engine, name, id);
  }
}
