import { existsSync, openSync, readdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../../base/errors.ts';
import { ifPresent } from '../../base/if-present.ts';
import { Fd } from '../../sys/fd.ts';
import { type LockMode, lockWait, tryLock } from '../../sys/lock.ts';
import type { Engine } from '../engine.ts';
import { MEMBERS } from '../names.ts';
import { containerDir } from '../record.ts';

/** In the directory of a pod, beside its members. */
export const MEMBERS_LOCK = 'members.lock';

/**
 * Keeps a pod as it is. `read`: a container is being made in it, or started; `write`: its containers are ended because it has ended, or it is removed. Whoever wants it in both ways begins with this, and takes
 * the pod's life lock afterwards. Freed by the kernel when its holder dies. Errors: not-found.
 */
export async function holdMembers(engine: Engine, pod: string, mode: LockMode): Promise<Fd> {
  const lock = openLock(engine, pod);
  if (lock === undefined) throw new TareError('not-found', `Cannot use pod ${pod.slice(0, 12)}: it was removed`);
  try {
    await lockWait(lock, mode);
    return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** The same if nobody is at it, for writing; undefined otherwise. */
export function tryHoldMembers(engine: Engine, pod: string): Fd | undefined {
  const lock = openLock(engine, pod);
  if (lock === undefined || tryLock(lock, 'write')) return lock;
  lock.close();
  return undefined;
}

function openLock(engine: Engine, pod: string): Fd | undefined {
  try {
    return Fd.adopt(openSync(join(containerDir(engine, pod), MEMBERS_LOCK), 'r+'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Notes a container in its pod: after its directory is there, before its record. */
export function addMember(engine: Engine, pod: string, id: string): void {
  writeFileSync(join(containerDir(engine, pod), MEMBERS, id), '', { mode: 0o600 });
}

/** Takes it out again, when its directory is gone. Idempotent. */
export function dropMember(engine: Engine, pod: string, id: string): void {
  ifPresent(() => unlinkSync(join(containerDir(engine, pod), MEMBERS, id)));
}

/** The containers of a pod, in no order; notes of those that are gone are removed. */
export function memberIds(engine: Engine, pod: string): string[] {
  let ids: string[];
  try {
    ids = readdirSync(join(containerDir(engine, pod), MEMBERS));
  } catch {
    return [];
  }
  return ids.filter((id) => {
    if (existsSync(containerDir(engine, id))) return true;
    dropMember(engine, pod, id);
    return false;
  });
}
