import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isKind } from '../base/errors.ts';
import { containerSize } from './container-size.ts';
import type { Engine } from './engine.ts';
import { type ContainerRecord, LOG_NAME, diskDir } from './record.ts';

/** What a container takes of the disk besides its image. */
export interface ContainerDiskSize {
  /** Of its writable layers. */
  readonly writableBytes: number;
  readonly logBytes: number;
}

/** Measures a container, running or not; nobody waits for it. One that is removed meanwhile takes nothing. Errors: denied. */
export async function containerDiskSize(engine: Engine, record: ContainerRecord): Promise<ContainerDiskSize> {
  const logBytes = logSize(diskDir(engine, record));
  try {
    return { writableBytes: (await containerSize(engine, record.id)).writableBytes, logBytes };
  } catch (error) {
    if (!isKind(error, 'not-found')) throw error;
    return { writableBytes: 0, logBytes };
  }
}

function logSize(dir: string): number {
  let bytes = 0;
  try {
    for (const name of readdirSync(dir))
      if (name.startsWith(LOG_NAME)) bytes += statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    // Gone.
  }
  return bytes;
}
