import { TareError, isKind } from '../base/errors.ts';
import { freezeCgroup, thawCgroup } from '../runtime/cgroup/mod.ts';
import { readLifeState } from '../runtime/state.ts';
import { cgroupPlace, isPaused } from './cgroups.ts';
import { containerActor, emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';
import { type ContainerRecord, containerDir, readRecord } from './record.ts';

/**
 * Stops every process of a running container until `unpauseContainer`, and returns when all stand still. Nothing is recorded: whether a container is paused is asked of
 * the kernel, so it holds whoever dies meanwhile.
 *
 * Errors: not-found; failed-precondition when it does not run or is paused already; unsupported without a freezer; deadline when a process hangs in the kernel; cancelled.
 */
export async function pauseContainer(
  engine: Engine,
  nameOrId: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const record = await runningRecord(engine, nameOrId, 'pause');
  if (isPaused(record))
    throw new TareError('failed-precondition', `Cannot pause container ${nameOrId}: it is paused already`);
  try {
    await freezeCgroup(cgroupPlace(engine, record), options);
  } catch (error) {
    throw endedMeanwhile(error, 'pause', nameOrId);
  }
  emit(engine, { ...containerActor(record), action: 'pause' });
}

/** Lets a paused container go on. Errors: not-found; failed-precondition when it does not run or is not paused. */
export async function unpauseContainer(engine: Engine, nameOrId: string): Promise<void> {
  const record = await runningRecord(engine, nameOrId, 'unpause');
  if (!isPaused(record))
    throw new TareError('failed-precondition', `Cannot unpause container ${nameOrId}: it is not paused`);
  try {
    thawCgroup(cgroupPlace(engine, record));
  } catch (error) {
    throw endedMeanwhile(error, 'unpause', nameOrId);
  }
  emit(engine, { ...containerActor(record), action: 'unpause' });
}

/**
 * Lets it go on if it is paused: for a signal that is to end it. One that has ended is fine. It is not asked first whether it stands still: on cgroup v2 a signal wakes a frozen process for a moment, in
 * which the kernel says no, and then it freezes again.
 */
export function thawIfPaused(engine: Engine, record: ContainerRecord): void {
  try {
    thawCgroup(cgroupPlace(engine, record));
  } catch (error) {
    if (isKind(error, 'not-found') || isKind(error, 'unsupported')) return;
    if (isKind(error, 'denied') && !isPaused(record)) return;
    throw error;
  }
}

async function runningRecord(engine: Engine, nameOrId: string, what: string): Promise<ContainerRecord> {
  const id = resolveContainer(engine, nameOrId);
  await reconcile(engine, id);
  const state = readLifeState(containerDir(engine, id));
  if (state === undefined) throw new TareError('not-found', `Cannot ${what} container ${nameOrId}: no such container`);
  if (state.phase !== 'running' || !state.held)
    throw new TareError(
      'failed-precondition',
      `Cannot ${what} container ${nameOrId}: it is ${state.phase}, not running`,
    );
  return readRecord(engine, id);
}

function endedMeanwhile(error: unknown, what: string, nameOrId: string): unknown {
  if (!isKind(error, 'not-found')) return error;
  return new TareError('failed-precondition', `Cannot ${what} container ${nameOrId}: it ended meanwhile`, {
    cause: error,
  });
}
