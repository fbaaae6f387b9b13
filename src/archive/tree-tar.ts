import { read, readdirSync, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { TareError } from '../base/errors.ts';
import { sysErrorOf } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import {
  type Entered,
  type EntryForm,
  type IdChange,
  type MountsInTree,
  TreeEntries,
  type TreeDir,
} from './_tree-entry.ts';
import type { ByteString } from './byte-string.ts';
import { TAR_END, tarPadding } from './tar-writer.ts';

const readAt = promisify(read);
const CHUNK_BYTES = 1024 * 1024;
/** Smaller files are read at once, without a turn of the event loop for each. */
const SMALL_BYTES = 64 * 1024;
/** Headers and small files are handed on together. */
const BATCH_BYTES = 256 * 1024;

export interface TreeTarOptions {
  /** Default `files`. */
  readonly form?: EntryForm;
  /** Hears each path below the tree; false leaves it out, with all beneath it. */
  readonly keep?: (path: ByteString) => boolean;
  /** Default `all`. For a mount that is left out stands an empty directory or file. */
  readonly mounts?: MountsInTree;
  /** Owners in the archive. */
  readonly ids?: IdChange;
  readonly signal?: AbortSignal;
}

/**
 * The tar of a file or directory, streamed: `tree` is any descriptor of it (O_PATH will do), `name` what it is called in the archive. `''` leaves out the entry of the
 * directory itself, `.` writes it as `./`. Equal trees give equal bytes: names are in the order of their bytes; hard links within the tree stay hard links.
 *
 * Others may change the tree meanwhile: no link is ever followed and nothing outside is read; what vanishes is left out, and a file that shrinks is filled up with zeros. Sockets are
 * left out, and attributes that belong to overlayfs or to the host's policy.
 *
 * Errors: `unsupported` for what a layer cannot hold; `cancelled`; by errno.
 */
export async function* treeTar(
  tree: Fd,
  name: ByteString,
  options: TreeTarOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  yield* treeEntries(tree, name, options);
  yield TAR_END;
}

/** The same without the end of the archive, for several trees in one. */
export async function* treeEntries(
  tree: Fd,
  name: ByteString,
  options: TreeTarOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  const walk = new TreeEntries(options.form ?? 'files', options.keep, options.mounts ?? 'all', options.ids);
  using dirs = new OpenDirs();
  let batch: Uint8Array[] = [];
  let bytes = 0;
  const add = (...parts: readonly Uint8Array[]): void => {
    for (const part of parts) {
      batch.push(part);
      bytes += part.byteLength;
    }
  };
  const top = walk.enter(tree, name, '');
  let next: Entered | undefined = top;
  for (;;) {
    if (next !== undefined) {
      using entered = next;
      add(...entered.headers);
      if (entered.isDir && entered.object !== undefined) dirs.push(entered.take(), entered.path, entered.name);
      else if (entered.object !== undefined && entered.sizeBytes <= SMALL_BYTES)
        add(readSmall(entered.object, entered.sizeBytes), tarPadding(entered.sizeBytes));
      else if (entered.object !== undefined) {
        yield Buffer.concat(batch);
        [batch, bytes] = [[], 0];
        yield* readLarge(entered.object, entered.sizeBytes, options.signal);
        add(tarPadding(entered.sizeBytes));
      }
    }
    if (bytes >= BATCH_BYTES) {
      yield Buffer.concat(batch);
      [batch, bytes] = [[], 0];
      checkCancelled(options.signal);
    }
    const dir = dirs.last;
    if (dir === undefined) break;
    const child = dir.names[dir.at++];
    if (child === undefined) dirs.pop();
    next = child === undefined ? undefined : walk.child(dir, child);
  }
  if (bytes > 0) yield Buffer.concat(batch);
}

function checkCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true)
    throw new TareError('cancelled', 'Cannot read files: it was cancelled', { cause: signal.reason });
}

/** The directories that the walk is in, outermost first. */
class OpenDirs implements Disposable {
  readonly #dirs: TreeDir[] = [];

  get last(): TreeDir | undefined {
    return this.#dirs.at(-1);
  }

  push(fd: Fd, path: ByteString, name: ByteString): void {
    const names = namesIn(fd);
    names.sort((a, b) => (a < b ? -1 : 1));
    this.#dirs.push({ fd, path, name, names, at: 0 });
  }

  pop(): void {
    this.#dirs.pop()?.fd.close();
  }

  [Symbol.dispose](): void {
    while (this.#dirs.length > 0) this.pop();
  }
}

/** A directory that was removed meanwhile is empty. Errors: by errno. */
function namesIn(dir: Fd): ByteString[] {
  try {
    return readdirSync(`/proc/self/fd/${dir.number}`, { encoding: 'latin1' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw sysErrorOf(error);
  }
}

function readSmall(file: Fd, sizeBytes: number): Buffer {
  const buffer = Buffer.alloc(sizeBytes);
  try {
    for (let at = 0; at < sizeBytes;) {
      const bytes = readSync(file.number, buffer, at, sizeBytes - at, at);
      if (bytes === 0) break;
      at += bytes;
    }
  } catch (error) {
    throw sysErrorOf(error);
  }
  return buffer;
}

async function* readLarge(
  file: Fd,
  sizeBytes: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0, ended = false; at < sizeBytes;) {
    checkCancelled(signal);
    const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, sizeBytes - at));
    const bytes: number = ended ? 0 : await readSome(file, buffer, at);
    // It shrank: its header has promised more.
    ended ||= bytes === 0;
    const part = ended ? buffer.fill(0) : buffer.subarray(0, bytes);
    yield part;
    at += part.length;
  }
}

async function readSome(file: Fd, into: Buffer, at: number): Promise<number> {
  try {
    return (await readAt(file.number, into, 0, into.length, at)).bytesRead;
  } catch (error) {
    throw sysErrorOf(error);
  }
}
