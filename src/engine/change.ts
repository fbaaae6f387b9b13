import { existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { writeDurably } from '../base/durable-files.ts';
import { readPhase } from '../runtime/state.ts';
import type { RuntimeConfig } from '../spec/runtime-config.ts';
import { Fd } from '../sys/fd.ts';
import { lockWait, tryLock } from '../sys/lock.ts';
import type { Engine } from './engine.ts';
import { type ContainerRecord, POLICY_NAME, containerDir } from './record.ts';

/** The lock file of changes; there once a container was changed for the first time. */
const CHANGE = 'change';

/** The right to change a container's record and config, until it is disposed. */
export interface Change extends Disposable {
  /** Replaces the record: whoever reads finds the old one or the new one. Errors: not-found when the container was removed meanwhile. */
  writeRecord(record: ContainerRecord): void;
  /** Replaces the restart policy, for its monitor as well. The record says already that there is one. */
  writePolicy(line: string): void;
  /** The same for the OCI config. */
  writeConfig(config: RuntimeConfig): void;
}

/**
 * Waits until nobody else changes the container's records. This is not the life lock, which the monitor of a running container holds: see docs/decisions/0020-changing-records.md.
 *
 * Errors: not-found; cancelled.
 */
export async function beginChange(
  engine: Engine,
  id: string,
  what: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Change> {
  const lock = openChange(engine, id, 'a+');
  try {
    if (lock === undefined) throw gone(id, what);
    await lockWait(lock, 'write', options);
    // It may have been removed while we waited.
    const phase = readPhase(containerDir(engine, id));
    if (phase === undefined || phase === 'removing') throw gone(id, what);
    return changeUnder(engine, id, what, lock);
  } catch (error) {
    lock?.close();
    throw error;
  }
}

/** The same if nobody is at it and it was changed before; undefined otherwise. */
export function tryChange(engine: Engine, id: string, what: string): Change | undefined {
  // Most never were: a look is cheaper than an open that fails.
  const lock = wasChanged(containerDir(engine, id)) ? openChange(engine, id, 'r+') : undefined;
  if (lock === undefined) return undefined;
  if (tryLock(lock, 'write')) return changeUnder(engine, id, what, lock);
  lock.close();
  return undefined;
}

/** Whether the container's record was ever changed: its names have to be looked at twice. One stat(2). */
export function wasChanged(dir: string): boolean {
  return existsSync(join(dir, CHANGE));
}

function openChange(engine: Engine, id: string, flags: 'a+' | 'r+'): Fd | undefined {
  try {
    return Fd.adopt(openSync(join(containerDir(engine, id), CHANGE), flags, 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function changeUnder(engine: Engine, id: string, what: string, lock: Fd): Change {
  const write = (name: string, text: string): void => {
    const path = join(containerDir(engine, id), name);
    try {
      writeDurably(path, text, { temp: `${path}.next` });
    } catch (error) {
      throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? gone(id, what, error) : error;
    }
  };
  return {
    writeRecord: (record) => write('container.json', JSON.stringify(record)),
    writePolicy: (line) => write(POLICY_NAME, line),
    writeConfig: (config) => write('config.json', JSON.stringify(config)),
    [Symbol.dispose]: () => lock.close(),
  };
}

function gone(id: string, what: string, cause?: unknown): TareError {
  return new TareError('not-found', `Cannot ${what} container ${id.slice(0, 12)}: it was removed`, { cause });
}
