import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  changePhase,
  isDead,
  isServed,
  phaseBefore,
  readExit,
  readLifeState,
  readPhase,
  readStartedAt,
  writeExit,
} from '../runtime/state.ts';
import { killCgroup, removeCgroup } from '../runtime/cgroup/mod.ts';
import { anyMounts, countMount } from './count-mount.ts';
import type { Engine } from './engine.ts';
import { fileError } from './file-error.ts';
import { containerIds, releaseStaleNames } from './names.ts';
import { containerActor, emit } from './emit.ts';
import { type ContainerRecord, containerDir, findRecord, readRecord } from './record.ts';
import { deleteContainer, emptyTrash, isThere, removeSocket } from './delete.ts';
import { containerCgroup } from './cgroups.ts';
import { holdIfFree } from './hold-life.ts';
import { holdsNetworks, lacksResolver } from './holds-networks.ts';
import { mayBeAbandoned } from './standstill.ts';
import { isRestarting } from './restarting.ts';
import { settleHolder } from './settle-names.ts';

/** Exit code of a container whose monitor died: it was killed, and nobody saw how it would have ended. */
const LOST_EXIT = 137;

/**
 * Collects what a dead process left of one container: an unfinished creation or removal is finished, a container whose monitor died is killed
 * *before* its exit is recorded, and removed when it was to remove itself. Does nothing to a container somebody holds. Idempotent.
 */
export async function reconcile(engine: Engine, id: string): Promise<void> {
  const dir = containerDir(engine, id);
  const state = readLifeState(dir);
  if (state === undefined) {
    if (!isThere(dir) || !isDead(dir)) return;
    await deleteContainer(engine, id);
    releaseStaleNames(engine);
    return;
  }
  if (state.held) {
    if (isServed(state.phase) && mayBeAbandoned(engine, id))
      (await import('./while-paused.ts')).endAbandonedPause(engine, id);
    return;
  }
  switch (state.phase) {
    case 'creating':
    case 'removing': {
      using life = holdIfFree(dir, 'collect container');
      // Somebody else may have finished it, or it may have moved on, while we took the lock.
      if (life === undefined || readPhase(dir) !== state.phase) return;
      await killContainer(engine, id);
      await deleteContainer(engine, id);
      // A creation that died before it had a record had its name already.
      releaseStaleNames(engine);
      return;
    }
    case 'running': {
      const record = await collectLost(engine, id, dir);
      if ((record?.pod ?? record?.sandbox) !== undefined && record !== undefined) await settle(engine, record);
      return;
    }
    case 'initialized': {
      using life = holdIfFree(dir, 'collect container');
      if (life === undefined || readPhase(dir) !== 'initialized') return;
      await killContainer(engine, id);
      // It never ran: there is no end to record.
      rmSync(join(dir, 'pid'), { force: true });
      changePhase(dir, 'initialized', phaseBefore(dir));
      removeSocket(engine, id);
      const record = readRecord(engine, id);
      await leave(engine, record);
      await countMount(engine, record, false);
      return;
    }
    case 'exited': {
      if (!existsSync(join(dir, 'container.json'))) return;
      const record = readRecord(engine, id);
      if (record.sandbox !== undefined) await settle(engine, record);
      if (!record.autoRemove && !isConnected(engine, record) && !(await countsAsMounted(engine, record))) return;
      using life = holdIfFree(dir, 'collect container');
      if (life === undefined || readPhase(dir) !== 'exited') return;
      await leave(engine, record);
      await countMount(engine, record, false);
      await removeIfWanted(engine, id);
      return;
    }
    case 'created': {
      // Who copied from or to it was killed.
      const record = findRecord(engine, id);
      if (record === undefined) return;
      if (!isConnected(engine, record) && !(await countsAsMounted(engine, record))) return;
      using life = holdIfFree(dir, 'collect container');
      if (life === undefined || readPhase(dir) !== 'created') return;
      await leave(engine, record);
      await countMount(engine, record, false);
    }
  }
}

/** A container whose monitor died: undefined when somebody else has it. */
async function collectLost(engine: Engine, id: string, dir: string): Promise<ContainerRecord | undefined> {
  using life = holdIfFree(dir, 'collect container');
  if (life === undefined || readPhase(dir) !== 'running') return undefined;
  await killContainer(engine, id);
  recordLostExit(dir);
  changePhase(dir, 'running', 'exited');
  const record = readRecord(engine, id);
  const exitCode = String(readExit(dir)?.code ?? LOST_EXIT);
  emit(engine, { ...containerActor(record), action: 'die', attributes: { exitCode } });
  removeSocket(engine, id);
  await leave(engine, record);
  await countMount(engine, record, false);
  await removeIfWanted(engine, id);
  return record;
}

async function settle(engine: Engine, record: ContainerRecord): Promise<void> {
  await (await import('./pods/settle-pod.ts')).settlePod(engine, record);
}

/** Collects every container, frees the names of those that are gone and empties the trash. Called by verbs that list or clean; each container is independent of the others. */
export async function reconcileAll(engine: Engine): Promise<void> {
  for (const id of containerIds(engine)) {
    await reconcile(engine, id);
    await settleHolder(engine, id);
  }
  releaseStaleNames(engine);
  emptyTrash(engine);
  if (lacksResolver(engine)) await (await import('./network-names.ts')).reviveResolver(engine);
  if (existsSync(engine.volumesDir)) await (await import('./volumes/collect-volumes.ts')).collectVolumes(engine);
}

/** Whether a container that has ended still counts as mounted. Asks the store only when anything does. */
async function countsAsMounted(engine: Engine, record: ContainerRecord): Promise<boolean> {
  if (record.source.kind !== 'image' || !anyMounts(engine)) return false;
  return (await engine.store()).mountedContainers().some(({ id }) => id === record.id);
}

/** It ended, and nobody has taken back what it had of networks. */
function isConnected(engine: Engine, record: ContainerRecord): boolean {
  return record.net !== undefined && holdsNetworks(engine, record.id);
}

async function leave(engine: Engine, record: ContainerRecord): Promise<void> {
  if (isConnected(engine, record)) await (await import('./leave-networks.ts')).leaveNetworks(engine, record.id, false);
}

async function killContainer(engine: Engine, id: string): Promise<void> {
  const cgroup = containerCgroup(engine, id);
  if (!(await killCgroup(cgroup))) await (await import('./kill-init.ts')).killInit(engine, id);
  removeCgroup(cgroup);
}

function recordLostExit(dir: string): void {
  const startedAt = readStartedAt(dir);
  const known = readExit(dir);
  // The monitor may have died after the record and before the phase; an older record is of an earlier run.
  if (known !== undefined && (startedAt === undefined || known.finishedAt >= startedAt)) return;
  const finishedAt = new Date().toISOString();
  try {
    writeExit(dir, { code: LOST_EXIT, signal: 9, oom: false, startedAt: startedAt ?? finishedAt, finishedAt });
  } catch (error) {
    throw fileError(error, 'record the end of a container whose monitor died');
  }
}

async function removeIfWanted(engine: Engine, id: string): Promise<void> {
  if (readRecord(engine, id).autoRemove && !isRestarting(containerDir(engine, id))) await deleteContainer(engine, id);
}
