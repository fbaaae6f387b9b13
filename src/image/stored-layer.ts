import { createReadStream, read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { createGunzip } from 'node:zlib';
import { TareError, messageOf } from '../base/errors.ts';
import { cleanPath, joinTarSplit, readTarSplit, type ByteString } from '../archive/mod.ts';
import type { LayerRecord, Store } from '../storage/mod.ts';
import type { Fd } from '../sys/fd.ts';
import {
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  openDirectory,
  openat2,
} from '../sys/open.ts';

const readAt = promisify(read);
const CHUNK_BYTES = 1024 * 1024;
/** Smaller files are read at once, without a turn of the event loop for each. */
const SMALL_BYTES = 256 * 1024;

/**
 * Rebuilds the tar that a layer of the store was unpacked from, byte for byte, from its files and its tar-split. The caller checks it against the diffId: files of the
 * store may have been changed, and CRCs are not looked at.
 *
 * Errors: `failed-precondition` when the layer has no tar-split, or a file is gone; `cancelled`.
 */
export async function* storedLayerTar(
  store: Store,
  layer: LayerRecord,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const damaged = (state: string, cause: unknown): TareError =>
    new TareError('failed-precondition', `Cannot rebuild layer ${layer.id.slice(0, 12)}: ${state}`, { cause });
  using diff = openDiff(store, layer, damaged);
  const file = createReadStream(store.tarSplitPath(layer.id), { highWaterMark: CHUNK_BYTES });
  const lines = createGunzip({ chunkSize: CHUNK_BYTES });
  let missing = false;
  file.on('error', (error: NodeJS.ErrnoException) => {
    missing = error.code === 'ENOENT';
    lines.destroy(error);
  });
  file.pipe(lines);
  try {
    const entries = readTarSplit(lines as AsyncIterable<Uint8Array>);
    for await (const chunk of joinTarSplit(entries, (name, size) => contents(diff, name, size), { checkCrc: false })) {
      if (signal?.aborted === true)
        throw new TareError('cancelled', `Cannot rebuild layer ${layer.id.slice(0, 12)}: it was cancelled`, {
          cause: signal.reason,
        });
      yield chunk;
    }
  } catch (error) {
    if (missing) throw damaged('the store has no tar-split of it, so its tar is not known', error);
    if (error instanceof TareError && error.kind !== 'not-found') throw error;
    throw damaged(messageOf(error), error);
  } finally {
    file.destroy();
    lines.destroy();
  }
}

function openDiff(store: Store, layer: LayerRecord, damaged: (state: string, cause: unknown) => TareError): Fd {
  try {
    return openDirectory(store.diffPath(layer.id));
  } catch (error) {
    throw damaged(messageOf(error), error);
  }
}

/** A file's contents. The name comes from an image: it is resolved beneath the layer's directory, and a link at its end is not followed. */
function contents(diff: Fd, name: ByteString, sizeBytes: number): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  return sizeBytes <= SMALL_BYTES ? smallFile(diff, name, sizeBytes) : largeFile(diff, name, sizeBytes);
}

function openFile(diff: Fd, name: ByteString): Fd {
  return openat2(diff, Buffer.from(cleanPath(name), 'latin1'), {
    flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
    resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
  });
}

function* smallFile(diff: Fd, name: ByteString, sizeBytes: number): Generator<Uint8Array, void, void> {
  using fd = openFile(diff, name);
  const buffer = Buffer.allocUnsafe(sizeBytes);
  let at = 0;
  while (at < sizeBytes) {
    const bytes = readSync(fd.number, buffer, at, sizeBytes - at, at);
    if (bytes === 0) break;
    at += bytes;
  }
  yield buffer.subarray(0, at);
}

async function* largeFile(diff: Fd, name: ByteString, sizeBytes: number): AsyncGenerator<Uint8Array, void, void> {
  using fd = openFile(diff, name);
  for (let at = 0; at < sizeBytes;) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, sizeBytes - at));
    const { bytesRead } = await readAt(fd.number, buffer, 0, buffer.length, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}
