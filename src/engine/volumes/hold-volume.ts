import { openSync, statSync } from 'node:fs';
import { sleep } from '../../base/clock.ts';
import { Fd } from '../../sys/fd.ts';
import { lockWait, tryLock } from '../../sys/lock.ts';
import { fstat } from '../../sys/stat.ts';
import type { Engine } from '../engine.ts';
import { fileError } from '../file-error.ts';
import { LIFE, volumePath } from './volume.ts';

/** Makes the copying into a volume one process's work at a time. */
const FILLING = 'filling';
const POLL_MS = 5;

/**
 * Holds a volume for reading: nobody removes it until its user's record says that it is used, or the lock is given up. Undefined when there is no such volume (any more).
 * Errors: cancelled; denied.
 */
export function holdVolume(engine: Engine, name: string, signal?: AbortSignal): Promise<Fd | undefined> {
  return locked(engine, name, async (life) => {
    await lockWait(life, 'read', signal === undefined ? {} : { signal });
    return true;
  });
}

/** Holds it for removal: nobody else is about to use it. `busy` when somebody still is after `waitMs`. */
export async function holdVolumeAlone(engine: Engine, name: string, waitMs: number): Promise<Fd | 'gone' | 'busy'> {
  const deadline = Date.now() + waitMs;
  let busy = false;
  const held = await locked(engine, name, async (life) => {
    while (!tryLock(life, 'write')) {
      busy = Date.now() >= deadline;
      if (busy) return false;
      await sleep(POLL_MS);
    }
    return true;
  });
  return held ?? (busy ? 'busy' : 'gone');
}

/** Alone with what is being put into a volume that the caller holds. */
export async function holdFilling(engine: Engine, name: string, signal?: AbortSignal): Promise<Fd> {
  using stack = new DisposableStack();
  const fd = stack.use(Fd.adopt(openSync(volumePath(engine, name, FILLING), 'a+', 0o600)));
  await lockWait(fd, 'write', signal === undefined ? {} : { signal });
  stack.move();
  return fd;
}

async function locked(engine: Engine, name: string, take: (life: Fd) => Promise<boolean>): Promise<Fd | undefined> {
  const path = volumePath(engine, name, LIFE);
  for (;;) {
    using stack = new DisposableStack();
    let life: Fd;
    try {
      life = stack.use(Fd.adopt(openSync(path, 'r+')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw fileError(error, `use volume ${name}`);
    }
    if (!(await take(life))) return undefined;
    // While we waited it may have been removed, and another one of that name made.
    if (statSync(path, { throwIfNoEntry: false, bigint: true })?.ino !== fstat(life).inode) continue;
    stack.move();
    return life;
  }
}
