import { monotonicMs, sleep } from '../../base/clock.ts';
import { TareError } from '../../base/errors.ts';
import { keyedNumber, readKernelFile, writeKernelFile } from './files.ts';
import type { CgroupPlan } from './plan.ts';

type Freezable = Pick<CgroupPlan, 'root' | 'unified' | 'freezer'>;

/** How to wait for the last process to stop. */
export interface FreezeOptions {
  /** Default 10 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Stops every process of a container and waits until all are stopped; they can still be killed where there is a cgroup v2 tree. Repeatable.
 * When they do not stop in time they are let go again.
 *
 * Errors: unsupported without a freezer; not-found when the cgroup is gone; deadline, cancelled.
 */
export async function freezeCgroup(plan: Freezable, options: FreezeOptions = {}): Promise<void> {
  setFrozen(plan, true);
  const deadline = monotonicMs() + (options.timeoutMs ?? 10_000);
  for (let round = 0; !isCgroupFrozen(plan); round++) {
    if (monotonicMs() > deadline || options.signal?.aborted) {
      setFrozen(plan, false);
      if (options.signal?.aborted) throw new TareError('cancelled', 'Cannot pause the container: cancelled');
      throw new TareError('deadline', 'Cannot pause the container: a process does not stop (it hangs in the kernel)');
    }
    // A v1 freezer may have to be told twice when processes fork meanwhile.
    if (plan.unified === undefined) setFrozen(plan, true);
    await sleep(Math.min(1 + round, 20));
  }
}

/** Lets the processes run again. Repeatable. Errors: unsupported, not-found. */
export function thawCgroup(plan: Freezable): void {
  setFrozen(plan, false);
}

/** True when every process is stopped by a freeze of this cgroup or one above it. Errors: unsupported, not-found. */
export function isCgroupFrozen(plan: Freezable): boolean {
  const [file, frozen] =
    plan.unified === undefined ? [freezerOf(plan), undefined] : [`${plan.unified}/cgroup.events`, 'frozen'];
  const text = readKernelFile(`${plan.root}/${file}`);
  if (text === undefined) throw gone(plan);
  return frozen === undefined ? text === 'FROZEN' : keyedNumber(text, frozen) === 1;
}

function setFrozen(plan: Freezable, frozen: boolean): void {
  const [file, value] =
    plan.unified === undefined
      ? [freezerOf(plan), frozen ? 'FROZEN' : 'THAWED']
      : [`${plan.unified}/cgroup.freeze`, frozen ? '1' : '0'];
  try {
    writeKernelFile(`${plan.root}/${file}`, value);
  } catch (cause) {
    if (readKernelFile(`${plan.root}/${file}`) === undefined) throw gone(plan);
    throw new TareError(
      'denied',
      `Cannot ${frozen ? 'pause' : 'resume'} the container: ${plan.root}/${file} cannot be written`,
      { cause },
    );
  }
}

function freezerOf(plan: Freezable): string {
  if (plan.freezer !== '') return plan.freezer;
  throw new TareError(
    'unsupported',
    'Cannot pause the container: this machine has neither cgroup v2 nor the freezer of cgroup v1',
  );
}

const gone = (plan: Freezable): TareError =>
  new TareError(
    'not-found',
    `Cannot pause or resume the container: its cgroup ${plan.unified ?? plan.freezer} is gone`,
  );
