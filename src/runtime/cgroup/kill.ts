import { existsSync } from 'node:fs';
import { monotonicMs, sleep } from '../../base/clock.ts';
import { TareError } from '../../base/errors.ts';
import { codeOf, writeKernelFile } from './files.ts';
import { pidsBelow } from './members.ts';
import type { CgroupPlan } from './plan.ts';

/** How to wait for the end. */
export interface KillOptions {
  /** Default 10 s: what does not die by SIGKILL hangs in the kernel. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Kills every process of a container's cgroup, and those that appear meanwhile, and waits until it is empty. Nothing to do when it is empty or gone.
 *
 * With `cgroup.kill` that is one write; without it everything is frozen, signalled and thawed until nothing is left.
 * False when it was gone already. Errors: deadline, cancelled; denied when a process may not be signalled.
 */
export async function killCgroup(
  plan: Pick<CgroupPlan, 'root' | 'dirs' | 'kill' | 'freezer'>,
  options: KillOptions = {},
): Promise<boolean> {
  const deadline = monotonicMs() + (options.timeoutMs ?? 10_000);
  const dirs = plan.dirs.map((dir) => `${plan.root}/${dir}`).filter((dir) => existsSync(dir));
  if (dirs.length === 0) return false;
  for (let round = 0; ; round++) {
    const left = [...new Set(dirs.flatMap(pidsBelow))];
    if (left.length === 0) return true;
    killOnce(plan, left, round);
    if (monotonicMs() > deadline) {
      throw new TareError(
        'deadline',
        `Cannot kill the processes of cgroup ${dirs[0] ?? ''}: ${left.join(', ')} did not die (they hang in the kernel; see /proc/PID/stack)`,
      );
    }
    try {
      await sleep(Math.min(1 + round, 20), options.signal);
    } catch (cause) {
      throw new TareError('cancelled', 'Cannot wait for the end of a cgroup: cancelled', { cause });
    }
  }
}

/** With cgroup.kill, numbers are signalled only when that was not enough: a process that is in our v1 directories alone. */
function killOnce(plan: Pick<CgroupPlan, 'root' | 'kill' | 'freezer'>, pids: readonly number[], round: number): void {
  if (plan.kill !== '') {
    ignoring(['ENOENT', 'ENODEV', 'EOPNOTSUPP'], () => writeKernelFile(`${plan.root}/${plan.kill}`, '1'));
  }
  // Frozen processes cannot fork away from the list; they die when thawed.
  const freezer = plan.freezer === '' ? undefined : `${plan.root}/${plan.freezer}`;
  if (freezer !== undefined && plan.kill === '')
    ignoring(['ENOENT', 'ENODEV', 'EACCES', 'EBUSY'], () => writeKernelFile(freezer, 'FROZEN'));
  try {
    const one = plan.kill === '' || round >= 5;
    for (const pid of one ? pids : []) ignoring(['ESRCH'], () => process.kill(pid, 'SIGKILL'));
  } finally {
    if (freezer !== undefined)
      ignoring(['ENOENT', 'ENODEV', 'EACCES', 'EBUSY'], () => writeKernelFile(freezer, 'THAWED'));
  }
}

function ignoring(codes: readonly string[], action: () => void): void {
  try {
    action();
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EPERM')
      throw new TareError(
        'denied',
        'Cannot kill the processes of a cgroup: not permitted (they belong to another user)',
        { cause: error },
      );
    if (!codes.includes(code)) throw error;
  }
}
