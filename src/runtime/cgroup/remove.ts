import { rmdirSync } from 'node:fs';
import { TareError } from '../../base/errors.ts';
import { codeOf, kernelWords } from './files.ts';
import { cgroupTree, pidsBelow } from './members.ts';
import type { CgroupPlan } from './plan.ts';

/** A killed process leaves its cgroup a moment after it left the lists. */
const RETRY_MS = 2;
const RETRIES = 50;

/**
 * Removes a container's own directories, deepest first, with the cgroups its processes made below them. Shared parents stay. Repeatable: what is gone is fine.
 *
 * Errors: failed-precondition when processes live in it (see killCgroup).
 */
export function removeCgroup(plan: Pick<CgroupPlan, 'root' | 'dirs'>): void {
  for (const dir of plan.dirs.toReversed()) removeTree(`${plan.root}/${dir}`);
}

function removeTree(dir: string): void {
  for (let attempt = 0; ; attempt++) {
    try {
      rmdirSync(dir);
      return;
    } catch (error) {
      const code = codeOf(error);
      if (code === 'ENOENT' || code === 'ENODEV') return;
      if (code !== 'EBUSY' && code !== 'ENOTEMPTY') {
        throw new TareError(
          code === 'EPERM' || code === 'EACCES' || code === 'EROFS' ? 'denied' : 'internal',
          `Cannot remove cgroup ${dir}: ${kernelWords(error)}`,
          { cause: error },
        );
      }
      const pids = pidsBelow(dir);
      if (pids.length > 0 || attempt >= RETRIES) {
        throw new TareError(
          'failed-precondition',
          `Cannot remove cgroup ${dir}: ${pids.length > 0 ? `processes ${pids.join(', ')} live in it` : 'it is busy'}`,
          { cause: error },
        );
      }
      for (const below of cgroupTree(dir).slice(0, -1)) removeTree(below);
      if (attempt > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
