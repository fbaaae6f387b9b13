import { TareError } from '../base/errors.ts';
import { isPaused } from './cgroups.ts';
import type { ContainerRecord } from './record.ts';

/** Refuses what a paused container could never answer. Errors: failed-precondition. */
export function refusePaused(record: ContainerRecord, what: string): void {
  if (!isPaused(record)) return;
  throw new TareError(
    'failed-precondition',
    `Cannot ${what} container ${record.name}: it is paused; let it go on first (tare unpause ${record.name})`,
  );
}
