import { TareError } from '../../base/errors.ts';
import type { Engine } from '../engine.ts';
import { type ContainerRecord, findRecord } from '../record.ts';
import { removeContainer } from '../remove.ts';
import { waitContainer } from '../wait.ts';
import { memberIds } from './members.ts';

/**
 * Runs the init containers of a pod, each started by `start`, oldest first, each to its end; those that run once are removed when they succeeded. Errors: failed-precondition for one that failed: those after it do not run; LaunchError.
 */
export async function runInitContainers(
  engine: Engine,
  pod: string,
  start: (id: string) => Promise<void>,
): Promise<void> {
  const all = memberIds(engine, pod)
    .flatMap((id): ContainerRecord[] => {
      const record = findRecord(engine, id);
      return record?.pod?.init === undefined ? [] : [record];
    })
    .toSorted((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
  for (const { id, name, pod: place } of all) {
    await start(id);
    const exit = await waitContainer(engine, id);
    if (exit?.code !== 0)
      throw new TareError(
        'failed-precondition',
        `Cannot start pod ${place?.name}: init container ${name} ended with exit code ${exit?.code ?? 'unknown'}; see tare logs ${name}`,
      );
    if (place?.init === 'once') await removeContainer(engine, id, { volumes: true });
  }
}
