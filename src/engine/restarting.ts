import { openSync } from 'node:fs';
import { join } from 'node:path';
import { Fd } from '../sys/fd.ts';
import { isLocked, lockWait } from '../sys/lock.ts';

/** The lock file of restarts, in the directory of a container that would remove itself. */
const RESTART = 'restarting';

/** Until it is disposed, or this process dies, a container that removes itself is not removed for having ended. Waits for other restarts of it. */
export async function beginRestart(dir: string): Promise<Disposable> {
  const hold = Fd.adopt(openSync(join(dir, RESTART), 'a+', 0o600));
  try {
    await lockWait(hold, 'write');
    return hold;
  } catch (error) {
    hold.close();
    throw error;
  }
}

/** Whether somebody is restarting it: its end is none. */
export function isRestarting(dir: string): boolean {
  let fd: Fd;
  try {
    fd = Fd.adopt(openSync(join(dir, RESTART), 'r'));
  } catch {
    return false;
  }
  using file = fd;
  return isLocked(file);
}
