import { existsSync } from 'node:fs';
import { sleep } from '../base/clock.ts';
import { isKind } from '../base/errors.ts';
import type { Engine } from './engine.ts';
import { LaunchError } from './launch-error.ts';
import { containerDir } from './record.ts';
import type { Running } from './running.ts';
import { type StartHow, startContainer } from './start.ts';

const BUSY_DEADLINE_MS = 10_000;

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
      const isBusy = isKind(error, 'failed-precondition') && !(error instanceof LaunchError);
      if (!isBusy || Date.now() > deadline || !existsSync(containerDir(engine, id))) throw error;
      await sleep(5);
    }
  }
}
