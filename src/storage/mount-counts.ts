import { join } from 'node:path';
import { readCapped, replaceFile } from './_file.ts';
import { HeldLock } from './lock-file.ts';
import { isId } from './record.ts';

interface MountCount {
  readonly id: string;
  readonly path: string;
  readonly count: number;
}

const MAX_BYTES = 64 * 1024 * 1024;

/**
 * `mountpoints.json` in the run root: how often each layer is mounted, so that nobody deletes or unmounts what others use. Callers hold the layers lock.
 */
export class MountCounts {
  readonly #path: string;
  readonly #lockPath: string;
  readonly #now: () => Date;

  constructor(runRoot: string, now: () => Date) {
    this.#path = join(runRoot, 'overlay-layers', 'mountpoints.json');
    this.#lockPath = join(runRoot, 'overlay-layers', 'mountpoints.lock');
    this.#now = now;
  }

  /** Adds `delta` to the count of a layer, which is never below 0, and returns it. `mountPath` is where it is mounted. */
  async add(id: string, mountPath: string, delta: number): Promise<number> {
    using lock = await HeldLock.take(this.#lockPath, 'write');
    const entries = this.#read();
    const old = entries.find((entry) => entry.id === id);
    const count = Math.max(0, (old?.count ?? 0) + delta);
    if (count === (old?.count ?? 0)) return count;
    this.#write(lock, [
      ...entries.filter((entry) => entry !== old),
      ...(count === 0 ? [] : [{ id, path: old?.path ?? mountPath, count }]),
    ]);
    return count;
  }

  /** Forgets the mounts of a layer that is going away. */
  async clear(id: string): Promise<void> {
    if (this.count(id) > 0) await this.add(id, '', Number.NEGATIVE_INFINITY);
  }

  /** The layers that count as mounted. */
  counted(): string[] {
    return this.#read().map(({ id }) => id);
  }

  /** How often a layer is mounted. */
  count(id: string): number {
    return this.#read().find((entry) => entry.id === id)?.count ?? 0;
  }

  #read(): MountCount[] {
    const bytes = readCapped(this.#path, MAX_BYTES);
    if (bytes === undefined || bytes.length === 0) return [];
    const json: unknown = JSON.parse(bytes.toString());
    return Array.isArray(json) ? json.filter(isMountCount) : [];
  }

  #write(lock: HeldLock, entries: readonly MountCount[]): void {
    lock.stamp(this.#now());
    // The run root does not outlive the machine: nothing to sync.
    replaceFile(this.#path, JSON.stringify(entries), 'none');
  }
}

function isMountCount(value: unknown): value is MountCount {
  if (typeof value !== 'object' || value === null) return false;
  const { id, path, count } = value as Record<string, unknown>;
  return isId(id) && typeof path === 'string' && typeof count === 'number';
}
