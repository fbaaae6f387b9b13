import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { isKind, TareError } from '../../base/errors.ts';
import { removeTree } from '../../sys/remove-tree.ts';
import { emit } from '../emit.ts';
import type { Engine } from '../engine.ts';
import { fileError } from '../file-error.ts';
import { newId } from '../ids.ts';
import { reconcile } from '../reconcile.ts';
import { removeContainer } from '../remove.ts';
import { holdVolumeAlone } from './hold-volume.ts';
import { noVolume, readableVolume, SHARED, volumePath } from './volume.ts';
import { type VolumeUser, volumeUsers } from './volume-users.ts';

export interface RemoveVolumeOptions {
  /** Remove the containers that use it first, running ones too. */
  readonly force?: boolean;
  /** With force: seconds from the stop signal to SIGKILL; default 0. */
  readonly timeoutSeconds?: number;
}

/** Somebody makes a container that uses it, or copies into it: so long a removal waits. */
const BUSY_MS = 10_000;
const FORCED_TRIES = 16;

/**
 * Removes a volume and all that is in it. Of a removal and the creation of a container that uses it at the same time one wins: either the container finds the volume gone and makes a new one, or
 * the removal finds the container.
 *
 * Errors: not-found; invalid name; failed-precondition while a container uses it (without `force`), or is being made that will.
 */
export async function removeVolume(engine: Engine, name: string, options: RemoveVolumeOptions = {}): Promise<void> {
  for (let tries = 0; ; tries++) {
    const users = await removeUnused(engine, name);
    if (users === 'gone') throw noVolume(name, 'remove');
    if (users === 'busy')
      throw new TareError(
        'failed-precondition',
        `Cannot remove volume ${name}: a container that uses it is being created, or something is copied into it`,
      );
    if (users.length === 0) return;
    // One that died while it was made, or removed, is no user.
    for (const { id } of tries === 0 ? users : []) await reconcile(engine, id);
    if (tries === 0) continue;
    if (options.force !== true || tries === FORCED_TRIES)
      throw new TareError(
        'failed-precondition',
        `Cannot remove volume ${name}: ${users.length === 1 ? 'container' : 'containers'} ${users
          .map((user) => user.name)
          .join(', ')} ${users.length === 1 ? 'uses' : 'use'} it; remove ${
          users.length === 1 ? 'it' : 'them'
        } first (tare rm), or use --force`,
      );
    for (const { id } of users) await removeUser(engine, id, options);
  }
}

/** Removes a volume that nobody uses but, maybe, `except`: true when it is gone. One that somebody uses or is about to use stays. Errors: by errno. */
export async function dropVolume(engine: Engine, name: string, except?: string): Promise<boolean> {
  const users = await removeUnused(engine, name, except, 0);
  return users === 'gone' || users.length === 0;
}

/** Who keeps it from being removed; nobody: it was removed. */
async function removeUnused(
  engine: Engine,
  name: string,
  except?: string,
  waitMs = BUSY_MS,
): Promise<readonly VolumeUser[] | 'gone' | 'busy'> {
  const held = await holdVolumeAlone(engine, name, waitMs);
  if (held === 'gone' || held === 'busy') return held;
  using _held = held;
  const record = readableVolume(engine, name);
  const isOwn = except !== undefined && record?.container === except && !existsSync(volumePath(engine, name, SHARED));
  const users = isOwn ? [] : (volumeUsers(engine).get(name) ?? []).filter(({ id }) => id !== except);
  if (users.length > 0) return users;
  const trash = join(engine.trashDir, `volume.${newId().slice(0, 16)}`);
  try {
    mkdirSync(engine.trashDir, { recursive: true, mode: 0o700 });
    renameSync(volumePath(engine, name), trash);
    emit(engine, { type: 'volume', action: 'remove', id: name, name, labels: record?.labels ?? {} });
    // Nobody finds it any more; a kill leaves the rest to the next command.
    await removeTree(trash);
  } catch (error) {
    throw fileError(error, `remove volume ${name}`);
  }
  return [];
}

async function removeUser(engine: Engine, id: string, options: RemoveVolumeOptions): Promise<void> {
  try {
    const { timeoutSeconds } = options;
    await removeContainer(engine, id, { force: true, ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) });
  } catch (error) {
    if (!isKind(error, 'not-found')) throw error;
  }
}
