import { existsSync, readFileSync, statSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { ifPresent } from '../base/if-present.ts';
import { readCapped, replaceFile, type Sync, tempPath } from './_file.ts';
import { MAX_LIST_BYTES, recordsMentioning } from './record-search.ts';
import { HeldLock, MARK_BYTES } from './lock-file.ts';
import { isId, type RawRecord, type Row } from './record.ts';

interface Part {
  readonly path: string;
  readonly volatile: boolean;
  /** Identity of the contents we hold, see `stampOf`. */
  stamp: string;
  rows: readonly Row[];
}

/**
 * One kind of record: `KIND.json`, `volatile-KIND.json` and `KIND.lock`.
 *
 * Files are replaced by rename, so reading needs no lock: `rows` is a consistent snapshot of each file, and no slow writer can hold up a reader. It is kept
 * until a file changes. Changing goes through `lock`.
 */
export class Table {
  readonly #lockPath: string;
  readonly #parts: readonly [stable: Part, volatile: Part];
  readonly #now: () => Date;

  /** `kind`: layers, images, containers. */
  constructor(dir: string, kind: string, now: () => Date) {
    this.#lockPath = join(dir, `${kind}.lock`);
    this.#parts = [
      { path: join(dir, `${kind}.json`), volatile: false, stamp: '', rows: [] },
      { path: join(dir, `volatile-${kind}.json`), volatile: true, stamp: '', rows: [] },
    ];
    this.#now = now;
  }

  /** What is there now. Errors: `failed-precondition` for a file that is no array of records. */
  rows(): readonly Row[] {
    const [stable, volatile] = this.#parts;
    const token = this.#token();
    load(stable, token);
    load(volatile, token);
    return volatile.rows.length === 0 ? stable.rows : [...stable.rows, ...volatile.rows];
  }

  /** Only the volatile ones: what the short life of a `--rm` container has to read. */
  volatileRows(): readonly Row[] {
    load(this.#parts[1], this.#token());
    return this.#parts[1].rows;
  }

  /**
   * Every record with `literal` somewhere in its JSON, and perhaps others: for finding one among thousands without parsing them all. Errors: as `rows`.
   */
  mentioning(literal: string): readonly Row[] {
    const token = this.#token();
    // As it is inside a JSON string.
    const needle = JSON.stringify(literal).slice(1, -1);
    return this.#parts.flatMap((part) => {
      const stamp = stampOf(part.path, token);
      if (stamp === 'none') return [];
      if (stamp === part.stamp) return part.rows;
      const found = recordsMentioning(part.path, needle, part.volatile);
      if (found !== undefined) return found;
      load(part, token);
      return part.rows;
    });
  }

  /** Waits for the write lock. Errors: as HeldLock.take. */
  async lock(signal?: AbortSignal): Promise<LockedTable> {
    return new LockedTable(await HeldLock.take(this.#lockPath, 'write', signal), this.#parts, this.#now);
  }

  /** The write lock if nobody has it; undefined otherwise. */
  tryLock(): LockedTable | undefined {
    const lock = HeldLock.tryTake(this.#lockPath);
    return lock === undefined ? undefined : new LockedTable(lock, this.#parts, this.#now);
  }

  /** Deletes what a killed writer left beside the files. While somebody has the lock it may be a live one's, who will see to it. */
  sweep(): void {
    const left = this.#parts.map((part) => tempPath(part.path)).filter((path) => existsSync(path));
    if (left.length === 0) return;
    using lock = HeldLock.tryTake(this.#lockPath);
    if (lock !== undefined) for (const path of left) ifPresent(() => unlinkSync(path));
  }

  #token(): string {
    return ifPresent(() => readFileSync(this.#lockPath, 'latin1').slice(0, MARK_BYTES)) ?? '';
  }
}

/** A table under its write lock: each file is looked at once, since nobody else can change it. Everything done here is synchronous and short. */
export class LockedTable implements Disposable {
  readonly #lock: HeldLock;
  readonly #parts: readonly [stable: Part, volatile: Part];
  readonly #now: () => Date;
  readonly #fresh = new Set<Part>();
  #mark: string | undefined;

  constructor(lock: HeldLock, parts: readonly [stable: Part, volatile: Part], now: () => Date) {
    this.#lock = lock;
    this.#parts = parts;
    this.#now = now;
  }

  rows(): readonly Row[] {
    const stable = this.#of(false);
    const volatile = this.#of(true);
    return volatile.length === 0 ? stable : [...stable, ...volatile];
  }

  volatileRows(): readonly Row[] {
    return this.#of(true);
  }

  /** Looks among the volatile ones first, which are few. */
  find(id: string): Row | undefined {
    return this.volatileRows().find((row) => row.id === id) ?? this.rows().find((row) => row.id === id);
  }

  /** Adds records or replaces those with the same id; all of them must be of one file, which is written once. `sync`: see `replaceFile`. */
  put(rows: readonly Row[], sync: Sync = 'data'): void {
    const volatile = rows[0]?.volatile ?? false;
    const byId = new Map(rows.map((row) => [row.id, row]));
    const kept = this.#of(volatile).map((row) => {
      const next = byId.get(row.id);
      byId.delete(row.id);
      return next ?? row;
    });
    this.#save(volatile, [...kept, ...byId.values()], sync);
  }

  /** Drops records; a file without any of them is not written. */
  drop(rows: readonly Row[], sync: Sync = 'data'): void {
    const ids = new Set(rows.map((row) => row.id));
    for (const volatile of new Set(rows.map((row) => row.volatile))) {
      const before = this.#of(volatile);
      const after = before.filter((row) => !ids.has(row.id));
      if (after.length !== before.length) this.#save(volatile, after, sync);
    }
  }

  #of(volatile: boolean): readonly Row[] {
    const part = this.#parts[volatile ? 1 : 0];
    if (!this.#fresh.has(part)) load(part, (this.#mark ??= this.#lock.mark()));
    this.#fresh.add(part);
    return part.rows;
  }

  #save(volatile: boolean, rows: readonly Row[], sync: Sync): void {
    const [stable, temporary] = this.#parts;
    const [part, other] = volatile ? [temporary, stable] : [stable, temporary];
    // The mark comes first: who sees the new mark reads again, who sees the old one still has valid rows.
    this.#mark = this.#lock.stamp(this.#now());
    replaceFile(part.path, JSON.stringify(rows.map((row) => row.raw)), volatile ? 'none' : sync);
    part.rows = rows;
    part.stamp = stampOf(part.path, this.#mark);
    this.#fresh.add(part);
    if (this.#fresh.has(other)) other.stamp = stampOf(other.path, this.#mark);
  }

  [Symbol.dispose](): void {
    this.#lock[Symbol.dispose]();
  }
}

/** Two replacements within this time may look the same to stat(2): coarse clocks, inode numbers used again. */
const CLOCK_STEP_MS = 2000;

/**
 * What changes when a writer replaces the file: inode, size, time, and while the time is recent also the mark of the last writer. The mark is read before
 * the file, so a mark that is newer than the contents only makes us read once more.
 */
function stampOf(path: string, token: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (stat === undefined) return 'none';
  const recent = Math.abs(Date.now() - Number(stat.mtimeMs)) < CLOCK_STEP_MS;
  return `${stat.ino}:${stat.size}:${stat.mtimeNs}${recent ? `:${token}` : ''}`;
}

function load(part: Part, token: string): void {
  const stamp = stampOf(part.path, token);
  if (stamp === part.stamp) return;
  const bytes = stamp === 'none' ? undefined : readCapped(part.path, MAX_LIST_BYTES);
  part.rows = bytes === undefined || bytes.length === 0 ? [] : parse(part.path, bytes.toString(), part.volatile);
  // Taken before reading: a change in between shows up at the next look.
  part.stamp = stamp;
}

function parse(path: string, json: string, volatile: boolean): Row[] {
  const broken = (cause?: unknown): TareError =>
    new TareError(
      'failed-precondition',
      `Cannot read ${path}: it is no list of records; restore it from a backup or remove it`,
      { cause },
    );
  let list: unknown;
  try {
    list = JSON.parse(json);
  } catch (cause) {
    throw broken(cause);
  }
  if (list === null) return [];
  if (!Array.isArray(list)) throw broken();
  return list.map((raw: unknown) => {
    if (typeof raw !== 'object' || raw === null) throw broken();
    const id = (raw as RawRecord)['id'];
    if (!isId(id)) throw broken();
    return { id, raw: raw as RawRecord, volatile };
  });
}
