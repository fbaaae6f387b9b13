import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isDigest, parseRepositoryPath, parseTag, type Digest, type RepositoryPath, type Tag } from '../spec/mod.ts';
import { isKind } from '../base/errors.ts';
import { RegistryError, registryError } from './error.ts';
import type { Registry } from './registry.ts';

interface Call {
  readonly registry: Registry;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
}

/**
 * Serves any Registry over HTTP, as a handler for node:http or node:https (distribution-spec, end-1 to end-3 and end-8, reading only). It keeps no state.
 */
export function registryHandler(registry: Registry): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    const url = new URL(request.url ?? '/', 'http://registry.invalid');
    answer({ registry, request, response, url }).catch((error: unknown) => fail(response, error));
  };
}

async function answer(call: Call): Promise<void> {
  const { request, response, url } = call;
  response.setHeader('docker-distribution-api-version', 'registry/2.0');
  if (request.method !== 'GET' && request.method !== 'HEAD')
    throw registryError('UNSUPPORTED', 'Cannot write: this registry is read-only');
  if (url.pathname === '/v2' || url.pathname === '/v2/') return sendJson(response, 200, {});
  const route = /^\/v2\/(.+)\/(manifests|blobs|tags)\/([^/]+)$/.exec(url.pathname);
  if (route === null) throw new RegistryError(404, undefined, `Cannot find ${url.pathname}: there is no such address`);
  const [, name = '', kind, last = ''] = route;
  const repository = repositoryOf(name);
  if (kind === 'manifests') return sendManifest(call, repository, referenceOf(last));
  if (kind === 'blobs') return sendBlob(call, repository, digestOfPath(last));
  if (last === 'list') return sendTags(call, repository);
  throw new RegistryError(404, undefined, `Cannot find ${url.pathname}: there is no such address`);
}

function repositoryOf(name: string): RepositoryPath {
  try {
    return parseRepositoryPath(name);
  } catch (cause) {
    throw new RegistryError(400, 'NAME_INVALID', 'Cannot use the repository: its name is invalid', { cause });
  }
}

function digestOfPath(text: string): Digest {
  if (!isDigest(text)) throw registryError('DIGEST_INVALID', 'Cannot use the digest: it is invalid');
  return text;
}

function referenceOf(text: string): Tag | Digest {
  if (text.includes(':')) return digestOfPath(text);
  try {
    return parseTag(text);
  } catch (cause) {
    throw new RegistryError(404, 'MANIFEST_UNKNOWN', 'Cannot find the image: its tag is invalid', { cause });
  }
}

async function sendManifest(
  { registry, request, response }: Call,
  repository: RepositoryPath,
  reference: Tag | Digest,
): Promise<void> {
  const { bytes, mediaType, digest } = await registry.getManifest(repository, reference);
  response.writeHead(200, {
    'content-type': mediaType,
    'content-length': bytes.byteLength,
    'docker-content-digest': digest,
  });
  response.end(request.method === 'HEAD' ? undefined : bytes);
}

async function sendBlob(
  { registry, request, response }: Call,
  repository: RepositoryPath,
  digest: Digest,
): Promise<void> {
  const { sizeBytes } = await registry.headBlob(repository, digest);
  const common = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    'accept-ranges': 'bytes',
  };
  const range = /^bytes=(\d{1,15})-$/.exec(request.headers.range ?? '');
  const offset = range === null ? 0 : Number(range[1]);
  if (range !== null && offset >= sizeBytes) {
    response.setHeader('content-range', `bytes */${sizeBytes}`);
    throw registryError('RANGE_INVALID', `Cannot read blob ${digest}: it has only ${sizeBytes} bytes`);
  }
  if (range === null) response.writeHead(200, { ...common, 'content-length': sizeBytes });
  else
    response.writeHead(206, {
      ...common,
      'content-length': sizeBytes - offset,
      'content-range': `bytes ${offset}-${sizeBytes - 1}/${sizeBytes}`,
    });
  if (request.method === 'HEAD') return void response.end();
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  const { body } = await registry.getBlob(repository, digest, { offset, signal: gone.signal });
  for await (const chunk of body) {
    if (!response.write(chunk)) await once(response, 'drain', { signal: gone.signal });
  }
  response.end();
}

async function sendTags({ registry, response, url }: Call, repository: RepositoryPath): Promise<void> {
  const wanted = url.searchParams.get('n');
  const most = wanted !== null && /^\d{1,6}$/.test(wanted) ? Math.max(1, Number(wanted)) : Infinity;
  const last = url.searchParams.get('last') ?? '';
  const tags: Tag[] = [];
  let more = false;
  for await (const tag of registry.tags(repository)) {
    if (tag <= last) continue;
    more = tags.length >= most;
    if (more) break;
    tags.push(tag);
  }
  if (more) response.setHeader('link', `</v2/${repository}/tags/list?n=${most}&last=${tags.at(-1) ?? ''}>; rel="next"`);
  sendJson(response, 200, { name: repository, tags });
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const text = JSON.stringify(value);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(response.req.method === 'HEAD' ? undefined : text);
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) return void response.destroy();
  const { status, code, message } =
    error instanceof RegistryError
      ? error
      : { status: isKind(error, 'unavailable') ? 503 : 500, code: undefined, message: 'internal error' };
  sendJson(response, status, { errors: [{ code: code ?? 'UNKNOWN', message }] });
}
