import { existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { Fd } from '../sys/fd.ts';
import { isLocked, lockWait } from '../sys/lock.ts';

/** The lock file of restarts, in the container's directory. */
const RESTART = 'restarting';

/** Until it is disposed, or this process dies, a container that removes itself is not removed for having ended. Waits for other restarts of it. Errors: not-found. */
export async function beginRestart(dir: string): Promise<Disposable> {
  const hold = Fd.adopt(openRestart(dir));
  try {
    await lockWait(hold, 'write');
    return hold;
  } catch (error) {
    hold.close();
    throw error;
  }
}

function openRestart(dir: string): number {
  try {
    return openSync(join(dir, RESTART), 'a+', 0o600);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new TareError('not-found', 'Cannot restart container: it was removed', { cause });
  }
}

/** Whether somebody is restarting it: its end is none. */
export function isRestarting(dir: string): boolean {
  const path = join(dir, RESTART);
  // At the end of every container: a look is cheaper than an open that fails.
  if (!existsSync(path)) return false;
  let fd: Fd;
  try {
    fd = Fd.adopt(openSync(path, 'r'));
  } catch {
    return false;
  }
  using file = fd;
  return isLocked(file);
}
