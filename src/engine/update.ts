import { sleep } from '../base/clock.ts';
import { TareError, isKind } from '../base/errors.ts';
import { checkResources } from '../runtime/cgroup/resources.ts';
import { updateCgroup } from '../runtime/cgroup/mod.ts';
import { readLifeState, takeLife } from '../runtime/state.ts';
import type { LinuxResources, RuntimeConfig } from '../spec/runtime-config.ts';
import { beginChange } from './change.ts';
import { usableCgroups } from './cgroups.ts';
import { changedResources } from './config-resources.ts';
import type { ResourceLimits } from './create-options.ts';
import { containerActor, emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { fileError } from './file-error.ts';
import { resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';
import { containerDir, readConfig, readRecord } from './record.ts';

/** What of a container can be changed once it is there. What is absent stays as it is. */
export interface ContainerUpdate {
  /** -1 (for `cpus` 0) takes a limit away. */
  readonly resources?: ResourceLimits;
}

/** So long somebody else may be starting it, or collecting what ended. */
const BUSY_DEADLINE_MS = 10_000;

/**
 * Changes the limits of a container: those of its cgroup when it runs, and those it will be started with. The kernel is asked first: what it refuses changes nothing, also nothing
 * of the rest. Returns warnings.
 *
 * Errors: not-found; invalid; unsupported without a controller; failed-precondition when it is removed, or when more is in use than the new limit; by errno of the cgroup file.
 */
export async function updateContainer(
  engine: Engine,
  nameOrId: string,
  update: ContainerUpdate,
): Promise<readonly string[]> {
  const id = resolveContainer(engine, nameOrId);
  await reconcile(engine, id);
  using change = await beginChange(engine, id, 'update');
  const dir = containerDir(engine, id);
  const record = readRecord(engine, id);
  const config = readConfig(engine, id);
  const before: LinuxResources = config.linux?.resources ?? {};
  const after = changedResources(before, update.resources ?? {});
  checkResources(after);
  const next: RuntimeConfig = { ...config, linux: { ...config.linux, resources: after } };
  const note = (warnings: readonly string[]): readonly string[] => {
    change.writeConfig(next);
    emit(engine, { ...containerActor(record), action: 'update' });
    return warnings;
  };
  const deadline = Date.now() + BUSY_DEADLINE_MS;
  try {
    for (;;) {
      const state = readLifeState(dir);
      if (state?.held === true && (state.phase === 'running' || state.phase === 'initialized')) {
        const warnings = inCgroup(engine, record.cgroupPath, before, after);
        if (warnings !== undefined) return note(warnings);
      }
      if (state?.held === false && (state.phase === 'created' || state.phase === 'exited')) {
        // A start reads the config under the life lock: it has the new one, or its cgroup is there for the next round.
        using life = tryLife(dir);
        if (life !== undefined) return note([]);
      }
      if (state?.held === false && (state.phase === 'running' || state.phase === 'initialized'))
        await reconcile(engine, id);
      if (state === undefined || state.phase === 'removing' || Date.now() > deadline)
        throw new TareError(
          'failed-precondition',
          `Cannot update container ${nameOrId}: another process is starting or removing it`,
        );
      await sleep(5);
    }
  } catch (error) {
    throw fileError(error, `update container ${nameOrId}`);
  }
}

/** Undefined when the cgroup is gone: it ended meanwhile. */
function inCgroup(
  engine: Engine,
  cgroupPath: string,
  before: LinuxResources,
  after: LinuxResources,
): readonly string[] | undefined {
  try {
    return updateCgroup(usableCgroups(engine, cgroupPath), cgroupPath, before, after);
  } catch (error) {
    if (!isKind(error, 'not-found')) throw error;
    return undefined;
  }
}

function tryLife(dir: string): Disposable | undefined {
  try {
    return takeLife(dir, 'update container');
  } catch (error) {
    if (isKind(error, 'failed-precondition') || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
