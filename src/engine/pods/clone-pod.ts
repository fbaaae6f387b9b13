import { cloneContainer, createClone } from '../clone.ts';
import type { ResourceLimits } from '../create-options.ts';
import type { Engine } from '../engine.ts';
import { podMembers, startPod } from './act-on-pod.ts';
import { createPod } from './create-pod.ts';
import { removePod } from './remove-pod.ts';

export interface ClonePodOptions {
  /** Default: the original's with `-clone` behind it, and a number where that is taken. */
  readonly name?: string;
  /** Limits of the pod that are to be others. */
  readonly resources?: ResourceLimits;
  /** Remove the original, running or not, once the other one is there. */
  readonly destroy?: boolean;
  readonly start?: boolean;
}

/**
 * Creates a pod as another one was created, with a container for each of its own (`cloneContainer`). A failure leaves nothing of it; killed, it has fewer containers. Returns its id.
 *
 * Errors: not-found; already-exists name; unsupported for a container that was run with --rm; those of `createPod`.
 */
export async function clonePod(engine: Engine, nameOrId: string, options: ClonePodOptions = {}): Promise<string> {
  const { id: original, record, members } = await podMembers(engine, nameOrId);
  const { name: _name, ...created } = record.sandbox.created;
  const resources = { ...created.resources, ...options.resources };
  const { id } = await createClone(options.name, record.name, (name) =>
    createPod(engine, { ...created, name, ...(Object.keys(resources).length === 0 ? {} : { resources }) }),
  );
  try {
    for (const member of members) await cloneContainer(engine, member.id, { pod: id });
  } catch (error) {
    await removePod(engine, id, { force: true });
    throw error;
  }
  if (options.destroy === true) await removePod(engine, original, { force: true });
  if (options.start === true) await startPod(engine, id);
  return id;
}
