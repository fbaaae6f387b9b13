import { fstatSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { isKind } from '../base/errors.ts';
import { ifPresent } from '../base/if-present.ts';
import { freezeCgroup, isCgroupFrozen, thawCgroup } from '../runtime/cgroup/mod.ts';
import { Fd } from '../sys/fd.ts';
import { lockWait, tryLock } from '../sys/lock.ts';
import { containerCgroup } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { fileError } from './file-error.ts';
import type { ContainerRecord } from './record.ts';
import { standstillMark } from './standstill.ts';

/**
 * Does something while no process of a container runs; one that stands still already stays so. When we are killed, the next command that looks at the container lets it go on.
 * Two at a time wait for each other.
 *
 * Errors: unsupported without a freezer; deadline for a process that does not stop; those of `act`.
 */
export async function whilePaused<T>(
  engine: Engine,
  record: ContainerRecord,
  act: () => Promise<T>,
  options: { readonly signal?: AbortSignal } = {},
): Promise<T> {
  const path = standstillMark(engine, record.id);
  const cgroup = containerCgroup(engine, record.id, record);
  using mark = await openMark(path, options);
  let isOurs = false;
  try {
    // What is in it tells of one who was killed.
    isOurs = fstatSync(mark.number).size > 0 || !isCgroupFrozen(cgroup);
    if (isOurs) writeSync(mark.number, '1');
    await freezeCgroup(cgroup, options);
    return await act();
  } finally {
    if (isOurs) letGo(engine, record.id, record);
    // With the container it goes, too.
    ifPresent(() => unlinkSync(path));
  }
}

/** A mark that is ours, and still there. */
async function openMark(path: string, options: { readonly signal?: AbortSignal }): Promise<Fd> {
  for (;;) {
    const fd = openFile(path);
    await lockWait(fd, 'write', options);
    if (fstatSync(fd.number).nlink > 0) return fd;
    fd.close();
  }
}

function openFile(path: string): Fd {
  try {
    return Fd.adopt(openSync(path, 'a+', 0o600));
  } catch (error) {
    throw fileError(error, 'pause the container');
  }
}

function letGo(engine: Engine, id: string, record?: ContainerRecord): void {
  try {
    thawCgroup(containerCgroup(engine, id, record));
  } catch (error) {
    // It was killed and removed meanwhile, or there is nothing that could stop it.
    if (!isKind(error, 'not-found') && !isKind(error, 'unsupported') && !isKind(error, 'denied')) throw error;
  }
}

/** Lets a container go on that somebody stopped for a moment who was killed then: see `mayBeAbandoned`. */
export function endAbandonedPause(engine: Engine, id: string): void {
  const path = standstillMark(engine, id);
  let mark: Fd;
  try {
    mark = Fd.adopt(openSync(path, 'r+'));
  } catch {
    return;
  }
  using held = mark;
  if (!tryLock(held, 'write')) return;
  const { size, nlink } = fstatSync(held.number);
  if (nlink === 0) return;
  if (size > 0) letGo(engine, id);
  ifPresent(() => unlinkSync(path));
}
