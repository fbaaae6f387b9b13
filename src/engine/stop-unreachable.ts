import { monotonicMs, sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { isInPhase, isServed, readPhase } from '../runtime/state.ts';
import { pidfdSendSignal } from '../sys/process.ts';
import type { Engine } from './engine.ts';
import { openInit } from './init-process.ts';
import { containerDir, readRecord } from './record.ts';

const SIGKILL = 9;
/** What is killed and does not end hangs in the kernel. */
const DYING_MS = 10_000;

/** Signals the first process of a container whose monitor cannot be asked to. One that has ended is no error. */
export function signalUnreachable(engine: Engine, id: string, signal: number): void {
  using init = openInit(engine, id);
  if (init !== undefined) pidfdSendSignal(init.fd, signal);
}

/**
 * Stops a container whose monitor cannot be asked to: signal (0: its own), grace period (-1: its own, -2: for ever), SIGKILL. The monitor, which lives, records the end.
 * Errors: deadline.
 */
export async function stopUnreachable(
  engine: Engine,
  id: string,
  how: { readonly signal: number; readonly timeoutMs: number },
): Promise<void> {
  const { stopSignal, stopTimeoutMs } = readRecord(engine, id);
  const asked = how.timeoutMs === -1 ? stopTimeoutMs : how.timeoutMs;
  // What waits for its start is our own code, deaf to everything else.
  const graceMs = isInPhase(containerDir(engine, id), 'initialized') ? 0 : asked;
  if (graceMs !== 0) {
    signalUnreachable(engine, id, how.signal === 0 ? stopSignal : how.signal);
    if (await hasEnded(engine, id, graceMs < 0 ? Infinity : graceMs)) return;
  }
  signalUnreachable(engine, id, SIGKILL);
  if (await hasEnded(engine, id, DYING_MS)) return;
  throw new TareError('deadline', `Cannot stop container ${id.slice(0, 12)}: it was killed and has not ended`);
}

async function hasEnded(engine: Engine, id: string, ms: number): Promise<boolean> {
  const deadline = monotonicMs() + ms;
  for (;;) {
    if (!isServed(readPhase(containerDir(engine, id)))) return true;
    if (monotonicMs() > deadline) return false;
    await sleep(10);
  }
}
