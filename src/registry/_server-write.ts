/** The server's side of writing (distribution-spec end-4 to end-11). */
import type { IncomingMessage } from 'node:http';
import { isKind } from '../base/errors.ts';
import { MANIFEST_MAX_BYTES, bareMediaType, type Digest, type RepositoryPath, type Tag } from '../spec/mod.ts';
import { digestOfPath, repositoryOf, type Call } from './_server-call.ts';
import type { UploadSession, Uploads } from './_uploads.ts';
import { RegistryError, registryError } from './error.ts';
import { collect } from './verified.ts';

/** `/v2/NAME/blobs/uploads/[ID]`. */
export async function answerUpload(
  call: Call,
  uploads: Uploads,
  repository: RepositoryPath,
  id: string,
): Promise<void> {
  const { request, url } = call;
  if (request.method === 'POST' && id === '') return beginUpload(call, uploads, repository);
  const session = uploads.find(repository, id);
  switch (request.method) {
    case 'GET':
      return void progress(call, session, 204).end();
    case 'PATCH':
      checkRange(call, session);
      await session.append(bodyOf(request));
      return void progress(call, session, 202).end();
    case 'PUT': {
      const digest = digestOfPath(url.searchParams.get('digest') ?? '');
      checkRange(call, session);
      await session.finish(bodyOf(request), digest);
      return created(call, `/v2/${repository}/blobs/${digest}`, digest);
    }
    case 'DELETE':
      session.cancel();
      return void call.response.writeHead(204).end();
    default:
      throw registryError('UNSUPPORTED', `Cannot ${request.method} an upload`);
  }
}

async function beginUpload(call: Call, uploads: Uploads, repository: RepositoryPath): Promise<void> {
  const { request, registry, url } = call;
  const digest = url.searchParams.get('digest');
  const mount = url.searchParams.get('mount');
  const from = url.searchParams.get('from');
  if (mount !== null && from !== null) {
    const wanted = digestOfPath(mount);
    if (await registry.mountBlob(repository, wanted, repositoryOf(from)))
      return created(call, `/v2/${repository}/blobs/${wanted}`, wanted);
  }
  const wanted = digest === null ? undefined : digestOfPath(digest);
  const session = uploads.begin(repository);
  if (wanted === undefined) return void progress(call, session, 202).end();
  try {
    await session.finish(bodyOf(request), wanted);
  } catch (error) {
    session.cancel();
    throw error;
  }
  return created(call, `/v2/${repository}/blobs/${wanted}`, wanted);
}

/** Stores the manifest in the request's body. */
export async function storeManifest(call: Call, repository: RepositoryPath, reference: Tag | Digest): Promise<void> {
  const { request, registry } = call;
  let bytes: Uint8Array;
  try {
    bytes = await collect(bodyOf(request), MANIFEST_MAX_BYTES, 'the manifest');
  } catch (cause) {
    if (!isKind(cause, 'invalid')) throw cause;
    throw new RegistryError(413, 'MANIFEST_INVALID', cause.message, { cause });
  }
  const mediaType = bareMediaType(request.headers['content-type'] ?? '');
  const digest = await registry.putManifest(repository, reference, { bytes, mediaType });
  return created(call, `/v2/${repository}/manifests/${digest}`, digest);
}

function created({ response }: Call, location: string, digest: Digest): void {
  response.writeHead(201, { location, 'docker-content-digest': digest, 'content-length': 0 }).end();
}

/** How far an upload is; `0-0` stands for both nothing and one byte, as everywhere. */
function progress({ response }: Call, session: UploadSession, status: number): Call['response'] {
  return response.writeHead(status, {
    location: `/v2/${session.repository}/blobs/uploads/${session.id}`,
    range: `0-${Math.max(0, session.bytes - 1)}`,
    'docker-upload-uuid': session.id,
    ...(status !== 204 && { 'content-length': 0 }),
  });
}

/** A part that says where it belongs has to begin where the last one ended. */
function checkRange({ request, response }: Call, session: UploadSession): void {
  const header = request.headers['content-range'];
  if (header === undefined) return;
  const range = /^(?:bytes )?(\d{1,15})-(\d{1,15})(?:\/.*)?$/.exec(header);
  const length = request.headers['content-length'];
  const fits = range !== null && (length === undefined || Number(range[2]) - Number(range[1]) + 1 === Number(length));
  if (fits && Number(range[1]) === session.bytes) return;
  response.setHeader('location', `/v2/${session.repository}/blobs/uploads/${session.id}`);
  response.setHeader('range', `0-${Math.max(0, session.bytes - 1)}`);
  throw registryError('RANGE_INVALID', `Cannot take the part: the upload has ${session.bytes} bytes`);
}

/** The body; leaving it early does not break the connection that the answer has to go over. */
function bodyOf(request: IncomingMessage): AsyncIterable<Uint8Array> {
  return request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
}
