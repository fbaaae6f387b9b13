import { existsSync } from 'node:fs';
import { sleep } from '../base/clock.ts';
import { isKind } from '../base/errors.ts';
import type { Engine } from './engine.ts';
import { isBusy } from './launch-error.ts';
import { containerDir } from './record.ts';
import type { Running } from './running.ts';
import { type StartHow, startContainer } from './start.ts';
import { type StopOptions, stopContainer } from './stop.ts';

const BUSY_DEADLINE_MS = 10_000;

/** Stops a container that is to start again. One that ends in another way at the same time is stopped as well. Errors: not-found, invalid signal. */
export async function stopFirst(engine: Engine, id: string, options: Omit<StopOptions, 'untilRemoved'>): Promise<void> {
  try {
    await stopContainer(engine, id, options);
  } catch (error) {
    if (!isKind(error, 'unavailable')) throw error;
  }
}

/**
 * Starts a container that has just ended, when those who look after its end, its monitor's last act for one, are done: they may have it for a moment.
 * Errors: as `startContainer`.
 */
export async function startAgain(engine: Engine, id: string, how: StartHow): Promise<Running> {
  const deadline = Date.now() + BUSY_DEADLINE_MS;
  for (;;) {
    try {
      return await startContainer(engine, id, how);
    } catch (error) {
      if (!isBusy(error) || Date.now() > deadline || !existsSync(containerDir(engine, id))) throw error;
      await sleep(5);
    }
  }
}
