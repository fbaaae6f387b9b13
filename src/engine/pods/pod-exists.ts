import { isThere } from '../container-exists.ts';
import type { Engine } from '../engine.ts';
import { resolvePod } from './pod.ts';

/** Whether there is such a pod; a creation or removal that was killed is none. Errors: invalid when the beginning of an id fits several; denied. */
export function podExists(engine: Engine, nameOrId: string): Promise<boolean> {
  return isThere(engine, nameOrId, resolvePod);
}
