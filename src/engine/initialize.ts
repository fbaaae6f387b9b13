import { sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { readLifeState } from '../runtime/state.ts';
import { isPaused } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { isBusy } from './launch-error.ts';
import { resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';
import { containerDir, readRecord } from './record.ts';
import { launchHeld } from './start.ts';

/** Somebody else may be preparing, copying from or collecting it. */
const BUSY_DEADLINE_MS = 10_000;

/**
 * Prepares a created or ended container completely (namespaces, mounts, cgroup, monitor), but for its program: the first process waits right before its execve until somebody starts
 * the container. Initializing what is initialized is no error. Returns warnings.
 *
 * Killed at any moment, the container is initialized, or what it was before. Errors: not-found; failed-precondition when it runs, or somebody keeps it busy; LaunchError.
 */
export async function initializeContainer(engine: Engine, nameOrId: string): Promise<readonly string[]> {
  const id = resolveContainer(engine, nameOrId);
  const deadline = Date.now() + BUSY_DEADLINE_MS;
  for (;;) {
    await reconcile(engine, id);
    const state = readLifeState(containerDir(engine, id));
    if (state?.held === true && state.phase === 'initialized') return [];
    if (state?.held === true && state.phase === 'running') {
      const how = isPaused(readRecord(engine, id)) ? 'paused' : 'running';
      throw new TareError('failed-precondition', `Cannot initialize container ${nameOrId}: it is ${how}`);
    }
    try {
      const prepared = await launchHeld(engine, id, 'initialize', { attach: false, stdin: false, waits: true });
      prepared.close();
      return prepared.warnings;
    } catch (error) {
      if (!isBusy(error) || Date.now() > deadline) throw error;
      await sleep(5);
    }
  }
}
