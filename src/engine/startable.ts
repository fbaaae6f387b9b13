import { readExit } from '../runtime/state.ts';
import type { Engine } from './engine.ts';
import { type ContainerSummary, collectedContainers } from './list.ts';
import { containerDir } from './record.ts';

/**
 * What a boot may start, oldest first: everything that does not run, but what a user stopped that is to run unless stopped. What dead processes left is collected first.
 */
export async function startable(engine: Engine): Promise<ContainerSummary[]> {
  return (await collectedContainers(engine))
    .filter(({ state }) => state === 'created' || state === 'initialized' || state === 'exited')
    .filter(
      ({ id, restartPolicy }) =>
        restartPolicy !== 'unless-stopped' || readExit(containerDir(engine, id))?.stopped !== true,
    )
    .toReversed();
}
