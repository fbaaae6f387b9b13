import { existsSync, statSync } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { MANIFEST_MAX_BYTES, digestAlgorithm, digestHex, mediaTypes, parseManifest, type Digest } from '../spec/mod.ts';
import type { Fd } from '../sys/fd.ts';
import { lockWait } from '../sys/lock.ts';
import { AT_FDCWD, O_CREAT, O_RDWR, openat2 } from '../sys/open.ts';
import { TEMP_PREFIX, writeBlobFile, writeError } from './_blob-file.ts';
import { emptyIndex, indexWith, LAYOUT_FILE } from './_layout-index.ts';
import type { ImageDestination, ManifestToPut } from './destination.ts';

/** A temporary file that is older was left by a kill. */
const STALE_MS = 24 * 60 * 60 * 1000;

/**
 * An OCI layout in a directory (oci:), which is made when it is missing. Other images in it stay; an image of the same name is replaced. Blobs are synced and put in place by
 * rename; index.json is replaced while the layout's `oci-layout` file is locked, so that several writers do not lose each other's images.
 *
 * Errors: `denied`, `exhausted`, `not-found` for a missing parent directory; `invalid` for a layout whose index is damaged.
 */
export function layoutDestination(path: string, refName: string | undefined, name: string): ImageDestination {
  const blobPath = (digest: Digest): string => join(path, 'blobs', digestAlgorithm(digest), digestHex(digest));
  let made: Promise<void> | undefined;
  const make = (): Promise<void> => (made ??= makeLayout(path, name));
  const has = (digest: Digest, sizeBytes: number): boolean => {
    const stat = statSync(blobPath(digest), { throwIfNoEntry: false });
    return stat?.isFile() === true && stat.size === sizeBytes;
  };
  const put = async (
    body: AsyncIterable<Uint8Array>,
    finish: () => { readonly digest: Digest },
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    await make();
    await using file = await writeBlobFile(path, body, name, signal);
    const target = blobPath(finish().digest);
    try {
      await mkdir(dirname(target), { recursive: true });
      await rename(file.path, target);
    } catch (error) {
      throw writeError(error, name);
    }
  };
  const putBytes = async ({ bytes, digest }: ManifestToPut, signal?: AbortSignal): Promise<void> => {
    if (!has(digest, bytes.byteLength)) await put(once(bytes), () => ({ digest }), signal);
  };
  return {
    name,
    takes: { layers: 'any', manifests: 'any', indexes: true },
    hasBlob: async ({ digest, sizeBytes }) => has(digest, sizeBytes),
    putBlob: (blob, openBlob, { signal } = {}) => put(openBlob(0), () => blob, signal),
    streamBlob: (body, finish, { signal } = {}) => put(body, finish, signal),
    putManifest: (manifest, { signal } = {}) => putBytes(manifest, signal),
    async commit(top, { signal } = {}) {
      await make();
      await putBytes(top, signal);
      try {
        for (const algorithm of await readdir(join(path, 'blobs'))) await syncDirectory(join(path, 'blobs', algorithm));
        using _ = await lockLayout(path, signal);
        const indexPath = join(path, 'index.json');
        const index = indexWith(await readIndex(indexPath, name), top, refName);
        await using file = await writeBlobFile(path, once(index), name);
        await rename(file.path, indexPath);
        await syncDirectory(path);
        await removeStale(path, statSync(indexPath).mtimeMs);
      } catch (error) {
        throw writeError(error, name);
      }
    },
    async [Symbol.asyncDispose]() {},
  };
}

/** The directory with its fixed parts, as far as they are missing. Errors: `failed-precondition` for a directory of something else. */
async function makeLayout(path: string, name: string): Promise<void> {
  try {
    if (!existsSync(path)) await mkdir(path, { mode: 0o755 }).catch(ignoreExisting);
    if (!existsSync(join(path, 'oci-layout'))) {
      const others = (await readdir(path)).filter(
        (entry) => !entry.startsWith(TEMP_PREFIX) && !/^(blobs|index\.json|oci-layout)$/.test(entry),
      );
      if (others.length > 0)
        throw new TareError(
          'failed-precondition',
          `Cannot write ${name}: the directory holds ${others[0] ?? ''} and is no OCI layout`,
        );
      await using file = await writeBlobFile(path, once(Buffer.from(LAYOUT_FILE)), name);
      await rename(file.path, join(path, 'oci-layout'));
    }
    await mkdir(join(path, 'blobs', 'sha256'), { recursive: true });
    if (!existsSync(join(path, 'index.json')))
      await writeFile(join(path, 'index.json'), emptyIndex(), { flag: 'wx' }).catch(ignoreExisting);
  } catch (error) {
    throw writeError(error, name);
  }
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}

/** Excludes other writers of the layout's index, until it is closed. */
async function lockLayout(path: string, signal: AbortSignal | undefined): Promise<Fd> {
  const fd = openat2(AT_FDCWD, join(path, 'oci-layout'), { flags: O_RDWR | O_CREAT, mode: 0o644 });
  try {
    await lockWait(fd, 'write', signal === undefined ? {} : { signal });
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

async function readIndex(path: string, name: string): Promise<Uint8Array> {
  const { size } = statSync(path);
  if (size > MANIFEST_MAX_BYTES) throw new TareError('invalid', `Cannot write ${name}: its index.json is too large`);
  const bytes = await readFile(path);
  if (parseManifest(bytes, mediaTypes.ociIndex, `index.json of ${name}`).kind !== 'index')
    throw new TareError('invalid', `Cannot write ${name}: its index.json is no index`);
  return bytes;
}

async function syncDirectory(path: string): Promise<void> {
  await using dir = await open(path, 'r');
  await dir.sync();
}

/** Deletes temporary files that are much older than `nowMs`. */
async function removeStale(path: string, nowMs: number): Promise<void> {
  for (const entry of await readdir(path)) {
    if (!entry.startsWith(TEMP_PREFIX)) continue;
    const stat = statSync(join(path, entry), { throwIfNoEntry: false });
    if (stat !== undefined && nowMs - stat.mtimeMs > STALE_MS) await unlink(join(path, entry)).catch(() => {});
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
