import { sleep } from '../base/clock.ts';
import { TareError, isKind } from '../base/errors.ts';
import { checkResources } from '../runtime/cgroup/resources.ts';
import { updateCgroup } from '../runtime/cgroup/mod.ts';
import { type HealthOptions, mergeHealth } from './health-options.ts';
import { isServed, readLifeState, takeLife } from '../runtime/state.ts';
import type { LinuxResources } from '../spec/runtime-config.ts';
import { planConstants } from '../sys/plan/schema.ts';
import { beginChange, type Change } from './change.ts';
import { usableCgroups } from './cgroups.ts';
import { changedResources } from './config-resources.ts';
import type { ResourceLimits } from './create-options.ts';
import { containerActor, emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { fileError } from './file-error.ts';
import { resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';
import { type ContainerRecord, type RestartPolicy, containerDir, readConfig, readRecord } from './record.ts';
import { restartSettings, superviseSettings } from './supervise-settings.ts';
import { checkPolicy, healthMembers } from './supervised.ts';

const { RESTART_NEVER, RESTART_ON_FAILURE, RESTART_ALWAYS } = planConstants;

/** What of a container can be changed once it is there. What is absent stays as it is. */
export interface ContainerUpdate {
  /** -1 (for `cpus` 0) takes a limit away. */
  readonly resources?: ResourceLimits;
  /** In force at once: at the next end of one that runs, at the next start of one that waits for it. */
  readonly restart?: RestartPolicy;
  /** What changes of the health check; in force from the next start on. */
  readonly health?: HealthOptions;
}

/** So long somebody else may be starting it, or collecting what ended. */
const BUSY_DEADLINE_MS = 10_000;

/**
 * Changes the limits of a container, those of its cgroup when it runs and those it will be started with, its restart policy, and its health check for the next starts. The kernel is asked first: what it refuses changes
 * nothing, also nothing of the rest. Returns warnings.
 *
 * Errors: not-found; invalid; unsupported without a controller; failed-precondition when it is removed, or when more is in use than the new limit; by errno of the cgroup file.
 */
export async function updateContainer(
  engine: Engine,
  nameOrId: string,
  update: ContainerUpdate,
): Promise<readonly string[]> {
  const { resources, restart, health } = update;
  const id = resolveContainer(engine, nameOrId);
  await reconcile(engine, id);
  using change = await beginChange(engine, id, 'update');
  const before = readRecord(engine, id);
  if (restart !== undefined) checkRestart(before, restart, nameOrId);
  const record = health === undefined ? before : changedHealth(before, health);
  try {
    const warnings =
      resources === undefined ? [] : await changeLimits(engine, record, change, { limits: resources, nameOrId });
    if (record !== before) change.writeRecord(record);
    if (restart !== undefined) changePolicy(record, restart, change);
    emit(engine, { ...containerActor(record), action: 'update' });
    // Its monitor has the check with its Plan.
    const isLate = record !== before && isServed(readLifeState(containerDir(engine, id))?.phase);
    return isLate
      ? [...warnings, `Container ${nameOrId} runs: its new health check holds from its next start on`]
      : warnings;
  } catch (error) {
    throw fileError(error, `update container ${nameOrId}`);
  }
}

function checkRestart(record: ContainerRecord, restart: RestartPolicy, nameOrId: string): void {
  checkPolicy(restart, 'update');
  if (restart.policy === 'no') return;
  if (record.logDriver === 'passthrough' && superviseSettings(record).restart === undefined)
    throw new TareError(
      'unsupported',
      `Cannot update container ${nameOrId}: it has the streams of the command that started it (--log-driver passthrough), which a next start could not give it`,
    );
  if (record.autoRemove)
    throw new TareError(
      'invalid',
      `Cannot update container ${nameOrId}: it is removed when it has ended (--rm), so it cannot start again (--restart)`,
    );
}

/** The health check of a record, changed; what is not said stays. Errors: invalid. */
function changedHealth(record: ContainerRecord, health: HealthOptions): ContainerRecord {
  const healthcheck = mergeHealth(record.healthcheck, health);
  const isOff = health.test !== undefined && health.test.length < 2;
  const { onFailure = isOff ? 'none' : (record.healthOnFailure ?? 'none'), intervalMs } = health;
  const isManual = intervalMs === undefined ? !isOff && record.healthInterval === 'disabled' : intervalMs === 0;
  const { created } = record;
  // What a clone is made with.
  const known =
    created === undefined ? {} : { created: { ...created, health: isOff ? health : { ...created.health, ...health } } };
  const { healthcheck: _check, healthOnFailure: _action, healthInterval: _interval, ...rest } = record;
  return { ...rest, ...known, ...healthMembers(healthcheck, onFailure, isManual) };
}

/** One rename(2): its monitor, later starts and whoever looks have the old policy before it, the new one after it. */
function changePolicy(record: ContainerRecord, restart: RestartPolicy, change: Change): void {
  if (record.restartChanged !== true) change.writeRecord({ ...record, restartChanged: true });
  const { policy, max } = restartSettings(restart);
  const known = { never: RESTART_NEVER, 'on-failure': RESTART_ON_FAILURE, always: RESTART_ALWAYS };
  change.writePolicy(`${known[policy]} ${max} ${restart.policy}\n`);
}

async function changeLimits(
  engine: Engine,
  { id, cgroupPath }: ContainerRecord,
  change: Change,
  { limits, nameOrId }: { readonly limits: ResourceLimits; readonly nameOrId: string },
): Promise<readonly string[]> {
  const dir = containerDir(engine, id);
  const config = readConfig(engine, id);
  const before: LinuxResources = config.linux?.resources ?? {};
  const after = changedResources(before, limits);
  checkResources(after);
  const note = (): void => change.writeConfig({ ...config, linux: { ...config.linux, resources: after } });
  const deadline = Date.now() + BUSY_DEADLINE_MS;
  for (;;) {
    const state = readLifeState(dir);
    const served = isServed(state?.phase);
    if (served && state?.held === true) {
      const warnings = inCgroup(engine, cgroupPath, before, after);
      if (warnings !== undefined) {
        note();
        return warnings;
      }
    }
    if (state?.held === false && (state.phase === 'created' || state.phase === 'exited')) {
      // A start reads the config under the life lock: it has the new one, or its cgroup is there for the next round.
      using life = tryLife(dir);
      if (life !== undefined) {
        note();
        return [];
      }
    }
    if (served && state?.held === false) await reconcile(engine, id);
    if (state === undefined || state.phase === 'removing' || Date.now() > deadline)
      throw new TareError(
        'failed-precondition',
        `Cannot update container ${nameOrId}: another process is starting or removing it`,
      );
    await sleep(5);
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
