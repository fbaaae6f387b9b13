import assert from 'node:assert/strict';
import { request } from 'node:http';
import { once } from 'node:events';
import { test } from 'node:test';
import { mediaTypes, parseRepositoryPath, parseTag } from '../spec/mod.ts';
import { serve } from '../../test/support/http.ts';
import { MemoryRegistry } from './memory.ts';
import { registryHandler } from './server.ts';

const repository = parseRepositoryPath('team/app');
const registry = new MemoryRegistry();
const digest = registry.addBlob(repository, Buffer.from('0123456789'));
registry.addManifest(repository, Buffer.from('{}'), mediaTypes.ociManifest, parseTag('one'));

/** What the server answers to `path` exactly as written. */
async function ask(
  path: string,
  method = 'GET',
  headers: Record<string, string> = {},
): Promise<{ status: number; header: (name: string) => unknown; text: string }> {
  await using server = await serve(registryHandler(registry));
  const outgoing = request({ port: server.port, host: '127.0.0.1', path, method, headers });
  outgoing.end();
  const [incoming] = (await once(outgoing, 'response')) as [import('node:http').IncomingMessage];
  let text = '';
  for await (const chunk of incoming) text += String(chunk);
  return { status: incoming.statusCode ?? 0, header: (name) => incoming.headers[name], text };
}

test('registryHandler() answers with the status and code of the spec', async () => {
  const zeros = `sha256:${'0'.repeat(64)}`;
  for (const [path, status, code] of [
    ['/v2/team/app/manifests/none', 404, 'MANIFEST_UNKNOWN'],
    ['/v2/team/app/manifests/..', 404, 'UNKNOWN'],
    ['/v2/team/app/manifests/sha256:abc', 400, 'DIGEST_INVALID'],
    [`/v2/team/app/blobs/${zeros}`, 404, 'BLOB_UNKNOWN'],
    ['/v2/team/app/blobs/one', 400, 'DIGEST_INVALID'],
    ['/v2/no/such/tags/list', 404, 'NAME_UNKNOWN'],
    ['/v2/Team/manifests/one', 400, 'NAME_INVALID'],
    ['/v2/a/../b/manifests/one', 404, 'NAME_UNKNOWN'],
    ['/v2/a%2e%2e/manifests/one', 400, 'NAME_INVALID'],
    ['/v2/team/app/other/x', 404, 'UNKNOWN'],
    ['/', 404, 'UNKNOWN'],
  ] as const) {
    const answer = await ask(path);
    assert.equal(answer.status, status, path);
    assert.equal((JSON.parse(answer.text) as { errors: { code: string }[] }).errors[0]?.code, code, path);
  }
  assert.equal((await ask('/v2/')).status, 200);
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
    assert.equal((await ask('/v2/team/app/tags/list', method)).status, 405);
});

test('registryHandler() serves ranges that have a start, and the whole for others', async () => {
  const get = (range: string): ReturnType<typeof ask> => ask(`/v2/team/app/blobs/${digest}`, 'GET', { range });
  const part = await get('bytes=4-');
  assert.deepEqual(
    [part.status, part.text, part.header('content-range'), part.header('content-length')],
    [206, '456789', 'bytes 4-9/10', '6'],
  );
  assert.deepEqual(
    [(await get('bytes=10-')).status, (await get('bytes=10-')).header('content-range')],
    [416, 'bytes */10'],
  );
  assert.deepEqual([(await get('bytes=-3')).status, (await get('bytes=1-2')).text], [200, '0123456789']);
});

test('registryHandler() answers HEAD without a body', async () => {
  const manifest = await ask('/v2/team/app/manifests/one', 'HEAD');
  assert.deepEqual(
    [manifest.status, manifest.text, manifest.header('content-length'), manifest.header('content-type')],
    [200, '', '2', mediaTypes.ociManifest],
  );
  const blob = await ask(`/v2/team/app/blobs/${digest}`, 'HEAD');
  assert.deepEqual(
    [blob.status, blob.text, blob.header('content-length'), blob.header('docker-content-digest')],
    [200, '', '10', digest],
  );
});
