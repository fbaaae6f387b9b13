import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { digestHex, type Digest } from '../spec/mod.ts';
import { RENAME_EXCHANGE, renameat2 } from '../sys/at.ts';
import { isErrno } from '../sys/error.ts';
import { AT_FDCWD } from '../sys/open.ts';
import { TEMP_PREFIX, writeBlobFile, writeError } from './_blob-file.ts';
import type { ImageDestination, ManifestToPut } from './destination.ts';

const VERSION = 'Directory Transport Version: 1.1\n';

/**
 * A plain directory with one image (skopeo's `dir:`). It is made aside and put in place by rename; an empty directory, or one with such an image, is replaced.
 *
 * Errors: `failed-precondition` for a directory that holds something else; `denied`, `exhausted`, `not-found` for a missing parent.
 */
export function directoryDestination(path: string, name: string): ImageDestination {
  let temp: string | undefined;
  const dir = (): string => {
    if (temp === undefined) {
      refuseOthers(path, name);
      try {
        temp = mkdtempSync(join(dirname(path), `${TEMP_PREFIX}${basename(path).slice(0, 64)}-`));
      } catch (error) {
        throw writeError(error, name);
      }
    }
    return temp;
  };
  const has = (digest: Digest, sizeBytes: number): boolean => {
    if (temp === undefined) return false;
    return statSync(join(temp, digestHex(digest)), { throwIfNoEntry: false })?.size === sizeBytes;
  };
  const put = async (
    body: AsyncIterable<Uint8Array>,
    nameOf: () => string,
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    await using file = await writeBlobFile(dir(), body, name, signal);
    await rename(file.path, join(dir(), nameOf()));
  };
  return {
    name,
    takes: { layers: 'any', manifests: 'any', indexes: true },
    hasBlob: async ({ digest, sizeBytes }) => has(digest, sizeBytes),
    putBlob: ({ digest }, openBlob, { signal } = {}) => put(openBlob(0), () => digestHex(digest), signal),
    streamBlob: (body, finish, { signal } = {}) => put(body, () => digestHex(finish().digest), signal),
    putManifest: ({ bytes, digest }, { signal } = {}) =>
      put(once(bytes), () => `${digestHex(digest)}.manifest.json`, signal),
    async commit({ bytes }: ManifestToPut, { signal } = {}) {
      await put(once(bytes), () => 'manifest.json', signal);
      await put(once(Buffer.from(VERSION)), () => 'version', signal);
      try {
        await using handle = await open(dir(), 'r');
        await handle.sync();
        await handle.chmod(0o755);
        await replaceDirectory(dir(), path);
      } catch (error) {
        throw writeError(error, name);
      }
      temp = undefined;
    },
    async [Symbol.asyncDispose]() {
      if (temp !== undefined) rmSync(temp, { recursive: true, force: true });
    },
  };
}

function refuseOthers(path: string, name: string): void {
  if (!existsSync(path)) return;
  let entries: string[];
  try {
    entries = readdirSync(path);
  } catch (error) {
    throw writeError(error, name);
  }
  if (entries.length === 0) return;
  if (
    entries.includes('version') &&
    readFileSync(join(path, 'version'), 'utf8').startsWith('Directory Transport Version:')
  )
    return;
  throw new TareError('failed-precondition', `Cannot write ${name}: the directory is not empty and holds no image`);
}

/** Puts `from` in the place of `to`, in one step where the file system can exchange two directories. */
async function replaceDirectory(from: string, to: string): Promise<void> {
  if (!existsSync(to) || readdirSync(to).length === 0) return rename(from, to);
  try {
    renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE);
  } catch (error) {
    if (!isErrno(error, 'EINVAL', 'ENOSYS')) throw error;
    await rename(to, `${from}.old`);
    await rename(from, to);
    await rename(`${from}.old`, from);
  }
  rmSync(from, { recursive: true, force: true });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
