import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isKind } from '../base/errors.ts';
import type { Digest, RepositoryPath, Tag } from '../spec/mod.ts';
import { digestOfPath, referenceOf, repositoryOf, type Call } from './_server-call.ts';
import { answerUpload, storeManifest } from './_server-write.ts';
import { Uploads, type UploadLimits } from './_uploads.ts';
import { RegistryError, registryError } from './error.ts';
import type { Registry } from './registry.ts';

export interface RegistryHandlerOptions extends Partial<UploadLimits> {
  /** Writes are refused with UNSUPPORTED. */
  readonly readOnly?: boolean;
}

const defaults: UploadLimits = { maxBlobBytes: 64 * 1024 ** 3, maxUploads: 256, uploadIdleMs: 10 * 60_000 };
/** How long a client may go on sending what was refused. */
const REFUSED_MS = 5000;

/**
 * Serves any Registry over HTTP, as a handler for node:http or node:https (distribution-spec, end-1 to end-11 without deletion of blobs and referrers). The only state of its
 * own are the uploads on their way: 64 GiB each, 256 at a time, ten minutes without a byte, unless stated.
 */
export function registryHandler(
  registry: Registry,
  options: RegistryHandlerOptions = {},
): (request: IncomingMessage, response: ServerResponse) => void {
  const uploads = new Uploads(registry, { ...defaults, ...options });
  return (request, response) => {
    const url = new URL(request.url ?? '/', 'http://registry.invalid');
    const call = { registry, request, response, url };
    answer(call, uploads, options.readOnly === true).catch((error: unknown) => fail(request, response, error));
  };
}

async function answer(call: Call, uploads: Uploads, readOnly: boolean): Promise<void> {
  const { request, response, url } = call;
  const reads = request.method === 'GET' || request.method === 'HEAD';
  response.setHeader('docker-distribution-api-version', 'registry/2.0');
  if (!reads && readOnly) throw registryError('UNSUPPORTED', 'Cannot write: this registry is read-only');
  if (url.pathname === '/v2' || url.pathname === '/v2/') return sendJson(response, 200, {});
  const upload = /^\/v2\/(.+)\/blobs\/uploads\/([\w-]{0,64})$/.exec(url.pathname);
  if (upload !== null) return answerUpload(call, uploads, repositoryOf(upload[1] ?? ''), upload[2] ?? '');
  const route = /^\/v2\/(.+)\/(manifests|blobs|tags)\/([^/]+)$/.exec(url.pathname);
  if (route === null) throw new RegistryError(404, undefined, `Cannot find ${url.pathname}: there is no such address`);
  const [, name = '', kind, last = ''] = route;
  const repository = repositoryOf(name);
  if (kind === 'manifests' && request.method === 'PUT') return storeManifest(call, repository, referenceOf(last));
  if (kind === 'manifests' && request.method === 'DELETE') {
    await call.registry.deleteManifest(repository, referenceOf(last));
    return void response.writeHead(202, { 'content-length': 0 }).end();
  }
  if (!reads) throw registryError('UNSUPPORTED', `Cannot ${request.method} ${kind}: this registry does not do this`);
  if (kind === 'manifests') return sendManifest(call, repository, referenceOf(last));
  if (kind === 'blobs') return sendBlob(call, repository, digestOfPath(last));
  if (last === 'list') return sendTags(call, repository);
  throw new RegistryError(404, undefined, `Cannot find ${url.pathname}: there is no such address`);
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

function fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent || (request.destroyed && !request.complete)) return void response.destroy();
  const { status, code, message } =
    error instanceof RegistryError
      ? error
      : { status: isKind(error, 'unavailable') ? 503 : 500, code: undefined, message: 'internal error' };
  const answer = { errors: [{ code: code ?? 'UNKNOWN', message }] };
  if (request.complete) return sendJson(response, status, answer);
  // The rest of the body is read past before the connection closes, so that the answer arrives; not for long.
  const text = JSON.stringify(answer);
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    connection: 'close',
  });
  response.write(text);
  const late = setTimeout(() => request.destroy(), REFUSED_MS).unref();
  const done = (): void => {
    clearTimeout(late);
    response.end();
  };
  request.on('error', done).on('end', done).on('close', done).resume();
}
