import { closeSync, existsSync, openSync, readSync, readdirSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { readLifeState } from '../runtime/state.ts';
import type { Engine } from './engine.ts';
import { LOG_NAME, containerDir, diskDir, readRecord } from './record.ts';
import { resolveContainer } from './names.ts';

/** One record of a container's log. */
export interface LogRecord {
  /** 1 stdout, 2 stderr. */
  readonly stream: 1 | 2;
  /** RFC 3339 with nanoseconds, UTC. */
  readonly time: string;
  /** The line goes on in the next record of this stream. */
  readonly partial: boolean;
  /** Without the newline. */
  readonly text: Uint8Array;
}

export interface LogOptions {
  /** Keep waiting for more until the container has ended. */
  readonly follow?: boolean;
  /** Only the last lines; default all. */
  readonly tail?: number;
  /** RFC 3339 times; records at or after `since`, before `until`. */
  readonly since?: string;
  readonly until?: string;
  readonly signal?: AbortSignal;
}

const CHUNK_BYTES = 64 * 1024;
const NEWLINE = 10;

/**
 * Reads a container's log (CRI format), oldest first, over rotated files. With `follow` it goes on until the container ends and all is read.
 *
 * Errors: not-found; unsupported when the container keeps no log.
 */
export async function* readLogs(engine: Engine, nameOrId: string, options: LogOptions = {}): AsyncGenerator<LogRecord> {
  const id = resolveContainer(engine, nameOrId);
  const record = readRecord(engine, id);
  if (record.logDriver === 'journald') {
    const { readJournal } = await import('./read-journal.ts');
    yield* readJournal(id, nameOrId, options, () => readLifeState(containerDir(engine, id))?.held === true);
    return;
  }
  if (record.log === undefined) {
    const where = record.logDriver === 'passthrough' ? 'its output went to whoever started it' : 'nothing was kept';
    throw new TareError(
      'unsupported',
      `Cannot read logs of ${nameOrId}: it was created with --log-driver ${record.logDriver}, so ${where}`,
    );
  }
  const dir = diskDir(engine, record);
  const since = options.since === undefined ? undefined : Date.parse(options.since);
  const until = options.until === undefined ? undefined : Date.parse(options.until);
  const wanted = (record: LogRecord): boolean => {
    if (since === undefined && until === undefined) return true;
    const time = Date.parse(record.time);
    return (since === undefined || time >= since) && (until === undefined || time < until);
  };

  const tailed: LogRecord[] = [];
  const tail = options.tail;
  using current = new LogFile(join(dir, LOG_NAME));
  for (const name of rotatedFiles(dir)) {
    using file = new LogFile(join(dir, name));
    yield* collect(file.records());
  }
  yield* collect(current.records());
  yield* tailed.splice(0);
  if (options.follow !== true) return;
  yield* followLog(dir, containerDir(engine, id), current, wanted, options.signal);

  function* collect(records: Iterable<LogRecord>): Generator<LogRecord> {
    for (const record of records) {
      if (!wanted(record)) continue;
      if (tail === undefined) {
        yield record;
        continue;
      }
      tailed.push(record);
      // Partial records belong to the line that ends later.
      while (lineCount(tailed) > tail) tailed.shift();
    }
  }
}

function lineCount(records: readonly LogRecord[]): number {
  let lines = 0;
  for (const record of records) if (!record.partial) lines++;
  return lines;
}

async function* followLog(
  dir: string,
  stateDir: string,
  start: LogFile,
  wanted: (record: LogRecord) => boolean,
  signal?: AbortSignal,
): AsyncGenerator<LogRecord> {
  let file = start;
  let wake: () => void = () => {};
  let changed = new Promise<void>((resolve) => (wake = resolve));
  const watchers = [...new Set([dir, stateDir])].map((path) => watch(path, () => wake()));
  const onAbort = (): void => wake();
  signal?.addEventListener('abort', onAbort);
  try {
    for (;;) {
      // The state is read before the log, so that what the container wrote before it ended is never missed.
      const state = readLifeState(stateDir);
      const over = state === undefined || !state.held || state.phase === 'exited' || state.phase === 'removing';
      for (const record of file.records()) if (wanted(record)) yield record;
      if (signal?.aborted === true) return;
      const path = join(dir, LOG_NAME);
      if (file.replaced(path)) {
        for (const record of file.records()) if (wanted(record)) yield record;
        if (file !== start) file.close();
        file = new LogFile(path);
        continue;
      }
      if (over) return;
      const timer = setTimeout(wake, 1000);
      await changed;
      clearTimeout(timer);
      changed = new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    for (const watcher of watchers) watcher.close();
    signal?.removeEventListener('abort', onAbort);
    if (file !== start) file.close();
  }
}

/** Rotated files, oldest first: ctr.log.3, ctr.log.2, ctr.log.1. */
function rotatedFiles(dir: string): string[] {
  return readdirSync(dir)
    .filter((name) => name.startsWith(`${LOG_NAME}.`) && /^[0-9]+$/.test(name.slice(LOG_NAME.length + 1)))
    .sort((a, b) => Number(b.slice(LOG_NAME.length + 1)) - Number(a.slice(LOG_NAME.length + 1)));
}

/** A log file read forward in chunks; `records` yields the complete records since the last call. */
class LogFile implements Disposable {
  #fd: number | undefined;
  #inode = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string) {
    if (!existsSync(path)) return;
    this.#fd = openSync(path, 'r');
    this.#inode = statSync(path).ino;
  }

  *records(): Generator<LogRecord> {
    if (this.#fd === undefined) return;
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const length = readSync(this.#fd, chunk, 0, chunk.length, null);
      if (length === 0) return;
      let data =
        this.#rest.length === 0
          ? Buffer.from(chunk.subarray(0, length))
          : Buffer.concat([this.#rest, chunk.subarray(0, length)]);
      for (;;) {
        const end = data.indexOf(NEWLINE);
        if (end < 0) break;
        const record = parseRecord(data.subarray(0, end));
        if (record !== undefined) yield record;
        data = data.subarray(end + 1);
      }
      this.#rest = data;
    }
  }

  /** True when `path` now names another file (rotation), or the first one appeared. */
  replaced(path: string): boolean {
    try {
      return statSync(path).ino !== this.#inode;
    } catch {
      return false;
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** `TIME stdout|stderr P|F TEXT`; undefined for a line cut by a crash. */
export function parseRecord(line: Buffer): LogRecord | undefined {
  const first = line.indexOf(0x20);
  const second = line.indexOf(0x20, first + 1);
  const third = line.indexOf(0x20, second + 1);
  if (first < 0 || second < 0) return undefined;
  const stream = line.toString('latin1', first + 1, second);
  const tag = line.toString('latin1', second + 1, third < 0 ? line.length : third);
  if ((stream !== 'stdout' && stream !== 'stderr') || (tag !== 'P' && tag !== 'F')) return undefined;
  return {
    stream: stream === 'stdout' ? 1 : 2,
    time: line.toString('latin1', 0, first),
    partial: tag === 'P',
    text: third < 0 ? new Uint8Array(0) : Buffer.from(line.subarray(third + 1)),
  };
}
