import { isKind, TareError } from '../../base/errors.ts';
import type { Engine } from '../engine.ts';
import { isLive, isUp, summarize } from '../list.ts';
import { isWished, type PruneWish } from '../prune-wish.ts';
import { removeContainer } from '../remove.ts';
import { stopContainer } from '../stop.ts';
import { allOf } from './all-of.ts';
import { podMembers } from './act-on-pod.ts';
import { listPods } from './list-pods.ts';
import { holdMembers, memberIds } from './members.ts';

export interface RemovePodOptions {
  /** Kill what runs in it first. */
  readonly force?: boolean;
  /** With force: grace period before SIGKILL; default 0. */
  readonly timeoutSeconds?: number;
}

/**
 * Removes a pod with its containers and their anonymous volumes. Killed half-way, the pod has fewer containers, or is removed by the next command. Two removals at once: one does it, the other finds it gone. Returns the id.
 *
 * Errors: not-found; failed-precondition while a container of it runs (without `force`).
 */
export async function removePod(engine: Engine, nameOrId: string, options: RemovePodOptions = {}): Promise<string> {
  const { id, record, members } = await podMembers(engine, nameOrId);
  const live = members.filter(isLive);
  if (options.force !== true && live.length > 0)
    throw new TareError(
      'failed-precondition',
      `Cannot remove pod ${record.name}: ${live.map(({ name }) => name).join(', ')} ${live.length === 1 ? 'runs' : 'run'}; stop it first (tare pod stop ${record.name}) or use --force`,
    );
  try {
    for (;;) {
      await allOf(memberIds(engine, id), (member) => removeMember(engine, member, options));
      using _lock = await holdMembers(engine, id, 'write');
      // Somebody has made one meanwhile.
      if (memberIds(engine, id).length > 0) continue;
      if (isRunning(engine, id)) await stopContainer(engine, id, {});
      await removeContainer(engine, id, { force: true, sandbox: true });
      return id;
    }
  } catch (error) {
    // Somebody else removes it.
    if (isKind(error, 'not-found')) return id;
    throw error;
  }
}

function isRunning(engine: Engine, id: string): boolean {
  const summary = summarize(engine, id);
  return summary !== undefined && isUp(summary);
}

async function removeMember(engine: Engine, id: string, { force, timeoutSeconds }: RemovePodOptions): Promise<void> {
  await removeContainer(engine, id, {
    ...(force === true ? { force } : {}),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    volumes: true,
  });
}

/** Removes all pods in which nothing runs any more. Returns their ids. Errors: denied. */
export async function prunePods(engine: Engine, wish: PruneWish = {}): Promise<readonly string[]> {
  const removed: string[] = [];
  for (const pod of await listPods(engine)) {
    if ((pod.state !== 'Exited' && pod.state !== 'Stopped') || !isWished(pod, wish)) continue;
    try {
      removed.push(await removePod(engine, pod.id));
    } catch (error) {
      if (!isKind(error, 'failed-precondition') && !isKind(error, 'not-found')) throw error;
    }
  }
  return removed;
}
