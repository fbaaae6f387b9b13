import { monotonicMs, sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { pidfdSendSignal, processStat } from '../sys/process.ts';
import type { Engine } from './engine.ts';
import { openInit } from './init-process.ts';

const SIGKILL = 9;
/** What is killed and does not end hangs in the kernel. */
const DYING_MS = 10_000;

/**
 * Kills a container's first process and waits until it is dead, and with it all of its pid namespace: for a container without a cgroup whose monitor died.
 * Nothing to do when it has ended. Errors: deadline.
 */
export async function killInit(engine: Engine, id: string): Promise<void> {
  using init = openInit(engine, id);
  if (init === undefined) return;
  const deadline = monotonicMs() + DYING_MS;
  // Dead is enough: whether anybody reaps it is not our business.
  for (let waitMs = 1; pidfdSendSignal(init.fd, SIGKILL) && isAlive(init.pid); waitMs = Math.min(waitMs * 2, 20)) {
    if (monotonicMs() > deadline)
      throw new TareError('deadline', `Cannot collect container ${id.slice(0, 12)}: it was killed and has not ended`);
    await sleep(waitMs);
  }
}

function isAlive(pid: number): boolean {
  const state = processStat(pid)?.state;
  return state !== undefined && state !== 'Z' && state !== 'X';
}
