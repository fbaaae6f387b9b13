import { isKind } from '../base/errors.ts';
import { containerDiskSize } from './container-disk-size.ts';
import type { Engine } from './engine.ts';
import { collectedContainers } from './list.ts';
import { isWished, type PruneWish } from './prune-wish.ts';
import { findRecord } from './record.ts';
import { removeContainer } from './remove.ts';

export interface PruneContainersOptions extends PruneWish {
  /** Measure what is freed. */
  readonly measure?: boolean;
}

/**
 * Removes all containers that do not run, but those of pods. One that somebody starts, or removes, at that moment is left to them. Returns the ids, newest first, and with `measure` the bytes
 * freed. Errors: denied.
 */
export async function pruneContainers(
  engine: Engine,
  options: PruneContainersOptions = {},
): Promise<{ readonly removed: readonly string[]; readonly freedBytes: number }> {
  const removed: string[] = [];
  let freedBytes = 0;
  for (const container of await collectedContainers(engine)) {
    if (!['created', 'initialized', 'exited'].includes(container.state) || !isWished(container, options)) continue;
    // The pod decides when it runs again.
    if (container.pod !== undefined) continue;
    const record = findRecord(engine, container.id);
    const size = options.measure === true && record !== undefined ? await containerDiskSize(engine, record) : undefined;
    try {
      await removeContainer(engine, container.id);
    } catch (error) {
      if (isKind(error, 'failed-precondition') || isKind(error, 'not-found')) continue;
      throw error;
    }
    removed.push(container.id);
    freedBytes += size === undefined ? 0 : size.writableBytes + size.logBytes;
  }
  return { removed, freedBytes };
}
