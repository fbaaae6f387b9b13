import { TareError } from '../base/errors.ts';
import type { Digest, RepositoryPath } from '../spec/mod.ts';
import { ConnectionError } from './_connection-error.ts';
import type { RegistryConnection } from './_connection.ts';
import type { RegistryRequest } from './_fetch.ts';
import { contentLength, type HttpResponse } from './_response.ts';
import { RegistryError, registryError } from './error.ts';
import type { BlobContent } from './registry.ts';

/** So much progress forgives earlier breaks of a blob's connection. */
const PROGRESS_BYTES = 1024 * 1024;

/** The blob from `offset` on. Its body goes on where a connection broke. */
export async function download(
  connection: RegistryConnection,
  repository: RepositoryPath,
  digest: Digest,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<BlobContent> {
  const doing = `read blob ${digest}`;
  const open = (at: number): Promise<BlobContent> => openAt(connection, repository, digest, at, signal);
  const first = await open(offset);
  const pause = async (failures: number): Promise<boolean> => {
    const fetch = await connection.fetch(signal, doing);
    if (failures >= fetch.attempts) return false;
    await fetch.pause(failures, signal, doing);
    return true;
  };
  return { sizeBytes: first.sizeBytes, body: resuming(first, offset, open, pause, doing) };
}

/** The size of a blob. Errors: `invalid` when the registry does not tell it. */
export async function blobSize(
  connection: RegistryConnection,
  repository: RepositoryPath,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<{ readonly sizeBytes: number; readonly response: HttpResponse }> {
  const request = blobRequest(repository, digest, signal);
  const response = await connection.send(`${repository}/blobs/${digest}`, { method: 'HEAD', ...request }, 200);
  response.discard();
  const sizeBytes = contentLength(response);
  if (sizeBytes === undefined)
    throw new TareError('invalid', `Cannot ${request.doing}: ${connection.host} does not tell its size`);
  return { sizeBytes, response };
}

async function openAt(
  connection: RegistryConnection,
  repository: RepositoryPath,
  digest: Digest,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<BlobContent> {
  const request = blobRequest(repository, digest, signal);
  const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
  let response: HttpResponse;
  try {
    const path = `${repository}/blobs/${digest}`;
    response = await connection.send(path, { method: 'GET', headers, ...request }, 200, 206);
  } catch (error) {
    if (!(error instanceof RegistryError && error.status === 416)) throw error;
    // Nothing is left to read from the very end, which HTTP has no words for.
    const { sizeBytes } = await blobSize(connection, repository, digest, signal);
    if (sizeBytes === offset) return { sizeBytes, body: nothing() };
    throw registryError('RANGE_INVALID', `Cannot ${request.doing}: it has only ${sizeBytes} bytes`);
  }
  const length = contentLength(response);
  if (response.status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.header('content-range') ?? '');
    if (range === null || Number(range[1]) !== offset) {
      response.discard();
      throw new TareError(
        'invalid',
        `Cannot ${request.doing}: ${response.url.host} sent another part than was asked for`,
      );
    }
    return { sizeBytes: range[2] === '*' ? length && length + offset : Number(range[2]), body: response.body };
  }
  if (length !== undefined && length < offset) {
    response.discard();
    throw registryError('RANGE_INVALID', `Cannot ${request.doing}: it has only ${length} bytes`);
  }
  // A server without ranges sends the whole.
  return { sizeBytes: length, body: offset === 0 ? response.body : skip(response.body, offset) };
}

/** The body, opened again at the byte where a connection broke. */
async function* resuming(
  first: BlobContent,
  offset: number,
  open: (at: number) => Promise<BlobContent>,
  pause: (failures: number) => Promise<boolean>,
  doing: string,
): AsyncGenerator<Uint8Array> {
  let at = offset;
  let mark = offset;
  let failures = 0;
  let current: BlobContent | undefined = first;
  for (;;) {
    try {
      current ??= await open(at);
      if (first.sizeBytes !== undefined && current.sizeBytes !== undefined && current.sizeBytes !== first.sizeBytes)
        throw new TareError('invalid', `Cannot ${doing}: its size changed on the way`);
      for await (const chunk of current.body) {
        at += chunk.byteLength;
        yield chunk;
      }
      return;
    } catch (error) {
      if (!(error instanceof ConnectionError && error.transient)) throw error;
      if (at - mark >= PROGRESS_BYTES) failures = 0;
      mark = at;
      current = undefined;
      if (!(await pause(++failures))) throw error;
    }
  }
}

function blobRequest(
  repository: RepositoryPath,
  digest: Digest,
  signal: AbortSignal | undefined,
): Omit<RegistryRequest, 'method'> {
  return {
    scopes: [{ repository, actions: 'pull' }],
    signal,
    doing: `read blob ${digest}`,
    missing: 'BLOB_UNKNOWN',
  };
}

async function* skip(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body) {
    if (left < chunk.byteLength) yield left === 0 ? chunk : chunk.subarray(left);
    left = Math.max(0, left - chunk.byteLength);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
