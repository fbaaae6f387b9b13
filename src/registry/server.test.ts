import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { mediaTypes, parseRepositoryPath, parseTag } from '../spec/mod.ts';
import { serve } from '../../test/support/http.ts';
import { MemoryRegistry } from './memory.ts';
import { registryHandler, type RegistryHandlerOptions } from './server.ts';
import { digestOf } from './verified.ts';

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

describe('registryHandler(): uploads', () => {
  const bytes = randomBytes(300_000);
  const name = digestOf(bytes);

  interface Answer {
    readonly status: number;
    readonly text: string;
    header(name: string): string;
  }

  /** A server over an empty registry, and a way to ask it. */
  async function started(options: RegistryHandlerOptions = {}) {
    const store = new MemoryRegistry();
    const server = await serve(registryHandler(store, options));
    const agent = new Agent({ keepAlive: true });
    const send = async (
      method: string,
      path: string,
      body: Uint8Array | string = '',
      headers: Record<string, string> = {},
    ): Promise<Answer> => {
      const outgoing = request({ port: server.port, host: '127.0.0.1', path, method, headers, agent });
      outgoing.end(body);
      const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
      let text = '';
      for await (const chunk of incoming) text += String(chunk);
      return { status: incoming.statusCode ?? 0, text, header: (key) => String(incoming.headers[key] ?? '') };
    };
    const dispose = async (): Promise<void> => {
      agent.destroy();
      await server[Symbol.asyncDispose]();
    };
    return { store, send, [Symbol.asyncDispose]: dispose };
  }

  const code = ({ text }: Answer): unknown => (JSON.parse(text) as { errors: { code: string }[] }).errors[0]?.code;
  const begin = '/v2/team/app/blobs/uploads/';

  test('in chunks: each answer says where to go on, and the range that is there', async () => {
    await using server = await started();
    const first = await server.send('POST', begin);
    assert.deepEqual([first.status, first.header('range')], [202, '0-0']);
    const location = first.header('location');
    assert.match(location, /^\/v2\/team\/app\/blobs\/uploads\/[\w-]{36}$/);
    assert.ok(location.endsWith(first.header('docker-upload-uuid')));
    const second = await server.send('PATCH', location, bytes.subarray(0, 100_000), { 'content-range': '0-99999' });
    assert.deepEqual([second.status, second.header('range')], [202, '0-99999']);
    for (const range of ['0-99999', '100001-299999', '100000-100001', 'x']) {
      const wrong = await server.send('PATCH', location, bytes.subarray(100_000), { 'content-range': range });
      assert.deepEqual([wrong.status, code(wrong), wrong.header('range')], [416, 'RANGE_INVALID', '0-99999'], range);
    }
    const status = await server.send('GET', location);
    assert.deepEqual([status.status, status.header('range'), status.header('location')], [204, '0-99999', location]);
    const rest = bytes.subarray(100_000);
    const last = await server.send('PUT', `${location}?digest=${name}`, rest, { 'content-range': '100000-299999' });
    assert.deepEqual(
      [last.status, last.header('location'), last.header('docker-content-digest')],
      [201, `/v2/team/app/blobs/${name}`, name],
    );
    assert.equal((await server.store.headBlob(repository, name)).sizeBytes, bytes.length);
    const gone = await server.send('PATCH', location, 'x');
    assert.deepEqual([gone.status, code(gone)], [404, 'BLOB_UPLOAD_UNKNOWN']);
  });

  test('in one request; a wrong digest, another repository and a cancelled upload are errors', async () => {
    await using server = await started();
    assert.equal((await server.send('POST', `${begin}?digest=${name}`, bytes)).status, 201);
    const wrong = await server.send('POST', `${begin}?digest=${name}`, 'other');
    assert.deepEqual([wrong.status, code(wrong)], [400, 'DIGEST_INVALID']);
    const bad = await server.send('POST', `${begin}?digest=sha256:abc`, 'other');
    assert.deepEqual([bad.status, code(bad)], [400, 'DIGEST_INVALID']);
    const location = (await server.send('POST', begin)).header('location');
    const elsewhere = await server.send('GET', location.replace('team/app', 'team/other'));
    assert.deepEqual([elsewhere.status, code(elsewhere)], [404, 'BLOB_UPLOAD_UNKNOWN']);
    const none = await server.send('PUT', location, bytes);
    assert.deepEqual([none.status, code(none)], [400, 'DIGEST_INVALID']);
    assert.equal((await server.send('DELETE', location)).status, 204);
    assert.equal((await server.send('GET', location)).status, 404);
  });

  test('limits: of a blob, of a manifest, of uploads at a time, of the time nobody touches one', async () => {
    await using server = await started({ maxBlobBytes: 100_000, maxUploads: 2, uploadIdleMs: 200 });
    const long = await server.send('POST', `${begin}?digest=${name}`, bytes);
    assert.deepEqual([long.status, code(long)], [413, 'SIZE_INVALID']);
    const manifest = await server.send('PUT', '/v2/team/app/manifests/one', Buffer.alloc(4 * 1024 * 1024 + 1));
    assert.deepEqual([manifest.status, code(manifest)], [413, 'MANIFEST_INVALID']);
    const location = (await server.send('POST', begin)).header('location');
    assert.equal((await server.send('POST', begin)).status, 202);
    const third = await server.send('POST', begin);
    assert.deepEqual([third.status, code(third)], [429, 'TOOMANYREQUESTS']);
    await delay(300);
    assert.equal((await server.send('GET', location)).status, 404);
    assert.equal((await server.send('POST', begin)).status, 202);
  });

  test('a read-only registry takes nothing', async () => {
    await using server = await started({ readOnly: true });
    for (const [method, path] of [
      ['POST', begin],
      ['PUT', '/v2/team/app/manifests/one'],
      ['DELETE', '/v2/team/app/manifests/one'],
    ] as const) {
      const answer = await server.send(method, path, method === 'DELETE' ? '' : 'x');
      assert.deepEqual([answer.status, code(answer)], [405, 'UNSUPPORTED']);
    }
  });

  test('a second part while one is on its way is refused, and does not disturb it', async () => {
    await using server = await started();
    const location = (await server.send('POST', begin)).header('location');
    const big = randomBytes(4_000_000);
    const slow = server.send('PATCH', location, big);
    const others = await Promise.all(Array.from({ length: 3 }, () => server.send('PATCH', location, big)));
    const statuses = [(await slow).status, ...others.map(({ status }) => status)];
    assert.ok(statuses.includes(202) && statuses.every((status) => status === 202 || status === 409), String(statuses));
    const taken = statuses.filter((status) => status === 202).length;
    assert.equal((await server.send('GET', location)).header('range'), `0-${taken * big.length - 1}`);
  });
});
