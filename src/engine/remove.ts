import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../base/clock.ts';
import { TareError, isKind } from '../base/errors.ts';
import { changePhase, isServed, readLifeState, readPhase, takeLife } from '../runtime/state.ts';
import { abandonContainer } from './abandon.ts';
import { isPaused } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { deleteContainer } from './delete.ts';
import { isSandbox, resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';
import { containerDir, readRecord, VOLUMES_TOO } from './record.ts';
import { stopContainer } from './stop.ts';

export interface RemoveOptions {
  /** Kill a running container first. */
  readonly force?: boolean;
  /** With force: grace period before SIGKILL; default 0. */
  readonly timeoutSeconds?: number;
  /** It is a pod that is removed. */
  readonly sandbox?: boolean;
  /** With the anonymous volumes that were made for it; those of one that removes itself go anyway. */
  readonly volumes?: boolean;
}

const BUSY_DEADLINE_MS = 10_000;

/**
 * Removes a container with its writable layer, log and records; one that waits for its start as well. Two removals at once: one does it, the other finds it gone.
 *
 * Errors: not-found; failed-precondition while it runs (without `force`) or somebody else keeps it busy.
 */
export async function removeContainer(engine: Engine, nameOrId: string, options: RemoveOptions = {}): Promise<string> {
  const id = resolveContainer(engine, nameOrId);
  const dir = containerDir(engine, id);
  if (options.sandbox !== true && isSandbox(engine, id))
    throw new TareError(
      'failed-precondition',
      `Cannot remove container ${nameOrId}: it holds what the containers of a pod share; remove the pod (tare pod rm ${nameOrId})`,
    );
  const deadline = Date.now() + BUSY_DEADLINE_MS;
  for (;;) {
    await reconcile(engine, id);
    const state = readLifeState(dir);
    if (state === undefined && !existsSync(dir)) return id;
    if (state?.phase === 'running' && state.held) {
      if (options.force !== true) {
        throw new TareError(
          'failed-precondition',
          `Cannot remove container ${nameOrId}: it is ${isPaused(readRecord(engine, id)) ? 'paused' : 'running'}; stop it first (tare stop ${nameOrId}) or use --force`,
        );
      }
      await stopForRemoval(engine, id, options.timeoutSeconds ?? 0);
      continue;
    }
    if (state?.phase === 'initialized' && state.held) await abandonContainer(engine, id);
    if (state?.held === false) {
      if (await removeHeld(engine, id, dir, options.volumes === true)) return id;
      continue;
    }
    if (Date.now() > deadline) {
      throw new TareError(
        'failed-precondition',
        `Cannot remove container ${nameOrId}: another process is starting or removing it`,
      );
    }
    await sleep(5);
  }
}

async function stopForRemoval(engine: Engine, id: string, timeoutSeconds: number): Promise<void> {
  try {
    await stopContainer(engine, id, timeoutSeconds === 0 ? { signal: 'KILL', timeoutSeconds: 1 } : { timeoutSeconds });
  } catch (error) {
    if (!isKind(error, 'not-found') && !isKind(error, 'failed-precondition') && !isKind(error, 'unavailable'))
      throw error;
  }
}

/** Removes under the life lock. False when the container changed hands meanwhile. */
async function removeHeld(engine: Engine, id: string, dir: string, volumes: boolean): Promise<boolean> {
  let life: Disposable;
  try {
    life = takeLife(dir, 'remove container');
  } catch (error) {
    if (
      isKind(error, 'failed-precondition') ||
      isKind(error, 'not-found') ||
      (error as NodeJS.ErrnoException).code === 'ENOENT'
    )
      return false;
    throw error;
  }
  using _held = life;
  const phase = readPhase(dir);
  if (phase === undefined) return false;
  if (isServed(phase)) return false;
  // Whoever finishes a removal that was killed knows it, too.
  if (volumes) writeFileSync(join(dir, VOLUMES_TOO), '', { mode: 0o600 });
  if (phase !== 'removing') changePhase(dir, phase, 'removing');
  await deleteContainer(engine, id);
  return true;
}
