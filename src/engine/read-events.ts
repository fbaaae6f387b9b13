import { closeSync, fstatSync, openSync, readSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { EVENTS_NAME, EVENT_MAX_BYTES, OLD_EVENTS_NAME } from './emit.ts';
import { type Engine, ensureLayout } from './engine.ts';
import type { EventType, TareEvent } from './event.ts';
import { type EventFilters, eventPasses } from './event-filter.ts';

export interface EventOptions {
  /** From then on (RFC 3339); without it only what happens from now on, or with `follow: false` everything that is still known. */
  readonly since?: string;
  /** Ends there, also when that is to come. */
  readonly until?: string;
  readonly filters?: EventFilters;
  /** Go on with what happens (default true). */
  readonly follow?: boolean;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 10;

/**
 * What happened, in the order in which it was told, by whatever process: the last one to two MiB of it since the machine started. Ends at `until` or when `signal` is aborted.
 * A container has the name that it had then. Errors: denied.
 */
export async function* readEvents(engine: Engine, options: EventOptions = {}): AsyncGenerator<TareEvent, void, void> {
  ensureLayout(engine);
  const follow = options.follow !== false;
  const since = options.since === undefined ? Number.NEGATIVE_INFINITY : Date.parse(options.since);
  const until = options.until === undefined ? Number.POSITIVE_INFINITY : Date.parse(options.until);
  using wakes = new Wakes(engine.eventsDir, follow, options.signal);
  using spool = new Spool(engine.eventsDir);
  if (follow && options.since === undefined && until > Date.now()) spool.skip();
  /** Monitors go on with the name they started with. */
  const renamed = new Map<string, string>();
  const aborted = (): boolean => options.signal?.aborted === true;
  for (;;) {
    if (aborted()) return;
    // What is read after this moment may be later than `until`.
    const over = !follow || Date.now() >= until;
    for (const line of spool.lines()) {
      const told = parseEvent(line);
      if (told === undefined) continue;
      if (told.action === 'rename') renamed.set(told.id, told.name);
      const event = { ...told, name: renamed.get(told.id) ?? told.name };
      const time = Date.parse(event.time);
      if (time >= since && time <= until && eventPasses(event, options.filters)) yield event;
      if (aborted()) return;
    }
    if (over) return;
    await wakes.next(until - Date.now());
  }
}

/** An event of one line; undefined for what a full disk or a stranger left there. */
export function parseEvent(line: string): TareEvent | undefined {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof json !== 'object' || json === null) return undefined;
  const { time, type, action, id, name, image, labels, attributes } = json as Record<string, unknown>;
  if (typeof time !== 'string' || typeof type !== 'string' || typeof action !== 'string') return undefined;
  if (typeof id !== 'string' || typeof name !== 'string' || Number.isNaN(Date.parse(time))) return undefined;
  return {
    time,
    type: type as EventType,
    action,
    id,
    name,
    ...(typeof image === 'string' ? { image } : {}),
    labels: texts(labels),
    attributes: texts(attributes),
  };
}

function texts(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter(([, member]) => typeof member === 'string'));
}

/** Tells when the directory changed, time is up or it was aborted. */
class Wakes implements Disposable {
  readonly #stack = new DisposableStack();
  #wake: () => void = () => {};
  #changed = new Promise<void>((resolve) => (this.#wake = resolve));

  constructor(dir: string, follow: boolean, signal: AbortSignal | undefined) {
    if (!follow) return;
    const wake = (): void => this.#wake();
    const watcher = watch(dir, wake);
    watcher.on('error', wake);
    this.#stack.defer(() => watcher.close());
    signal?.addEventListener('abort', wake);
    this.#stack.defer(() => signal?.removeEventListener('abort', wake));
  }

  async next(ms: number): Promise<void> {
    const timer = Number.isFinite(ms) ? setTimeout(() => this.#wake(), Math.min(Math.max(ms, 0) + 1, 2 ** 30)) : null;
    await this.#changed;
    if (timer !== null) clearTimeout(timer);
    this.#changed = new Promise((resolve) => (this.#wake = resolve));
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

/** The two files, followed over rotations. A writer that had the older one open when it was put aside still writes there: both are read. */
class Spool implements Disposable {
  readonly #dir: string;
  #old: SpoolFile | undefined;
  #current: SpoolFile | undefined;

  constructor(dir: string) {
    this.#dir = dir;
    this.#current = SpoolFile.open(join(dir, EVENTS_NAME));
    this.#old = SpoolFile.open(join(dir, OLD_EVENTS_NAME));
    // Put aside between the two looks: it is the same file.
    if (this.#old?.inode === this.#current?.inode) this.#old?.close();
    if (this.#old?.inode === this.#current?.inode) this.#old = undefined;
  }

  /** Leaves out what is there. */
  skip(): void {
    this.#old?.skip();
    this.#current?.skip();
  }

  *lines(): Generator<string, void, void> {
    for (;;) {
      if (this.#old !== undefined) yield* this.#old.lines();
      if (this.#current !== undefined) yield* this.#current.lines();
      if (!this.#turn()) return;
    }
  }

  /** Goes to newer files; false: there are none. */
  #turn(): boolean {
    const path = join(this.#dir, EVENTS_NAME);
    const now = statSync(path, { throwIfNoEntry: false })?.ino;
    if (now === undefined || now === this.#current?.inode) return false;
    const aside = SpoolFile.open(join(this.#dir, OLD_EVENTS_NAME));
    const missed = aside !== undefined && aside.inode !== this.#current?.inode && aside.inode !== this.#old?.inode;
    if (!missed) aside?.close();
    this.#old?.close();
    this.#old = missed ? aside : this.#current;
    if (missed) this.#current?.close();
    this.#current = SpoolFile.open(path);
    return true;
  }

  [Symbol.dispose](): void {
    this.#old?.close();
    this.#current?.close();
  }
}

class SpoolFile {
  readonly #fd: number;
  readonly inode: number;
  #at = 0;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(fd: number) {
    this.#fd = fd;
    this.inode = fstatSync(fd).ino;
  }

  static open(path: string): SpoolFile | undefined {
    try {
      return new SpoolFile(openSync(path, 'r'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  skip(): void {
    this.#at = fstatSync(this.#fd).size;
  }

  /** Whole lines since the last call. */
  *lines(): Generator<string, void, void> {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const length = readSync(this.#fd, chunk, 0, chunk.length, this.#at);
      if (length === 0) return;
      this.#at += length;
      let data = Buffer.concat([this.#rest, chunk.subarray(0, length)]);
      for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE)) {
        yield data.toString('utf8', 0, end);
        data = data.subarray(end + 1);
      }
      // Nobody of ours writes a longer line.
      this.#rest = data.length > 4 * EVENT_MAX_BYTES ? Buffer.alloc(0) : data;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
