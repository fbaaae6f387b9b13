import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from './lab.ts';

const restMs = 500;
const patienceMs = 60_000;

/**
 * Writes everything back and waits until the disks have done nothing for half a second, a minute at most. A gigabyte that the kernel still writes, or the
 * tens of thousands of discards that follow a removal on a file system mounted with `discard`, would be counted against whoever is next.
 */
export async function disksAtRest(lab: Lab): Promise<void> {
  await lab.run(['sync']);
  const deadline = performance.now() + patienceMs;
  for (let before = ''; performance.now() < deadline; await sleep(restMs)) {
    const now = readFileSync('/proc/diskstats', 'utf8');
    if (now === before) return;
    before = now;
  }
}
