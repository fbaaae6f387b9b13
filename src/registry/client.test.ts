import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isKind, type ErrorKind } from '../base/errors.ts';
import { mediaTypes, parseRepositoryPath, parseTag } from '../spec/mod.ts';
import { serve } from '../../test/support/http.ts';
import { needs } from '../../test/support/needs.ts';
import { makeCertificates } from '../../test/support/registry.ts';
import { RegistryClient, type RegistryClientOptions } from './client.ts';
import { RegistryError } from './error.ts';
import { MemoryRegistry } from './memory.ts';
import { registryHandler } from './server.ts';
import { collect, digestOf } from './verified.ts';

const repository = parseRepositoryPath('team/app');
const tag = parseTag('one');
const blob = randomBytes(500_000);
const blobDigest = digestOf(blob);
const manifest = Buffer.from('{"schemaVersion":2}');
const quick: RegistryClientOptions = { retry: { attempts: 3, delayMs: 5 } };

function honest(): RequestListener {
  const registry = new MemoryRegistry();
  registry.addBlob(repository, blob);
  registry.addManifest(repository, manifest, mediaTypes.ociManifest, tag);
  return registryHandler(registry);
}

type Lie = (request: IncomingMessage, response: ServerResponse, honestly: () => void) => void;

/** A client whose registry answers as `lie` wants; the requests it saw, without the one that finds out whether it speaks http. */
async function against(
  lie: Lie,
  options: RegistryClientOptions = quick,
): Promise<AsyncDisposable & { client: RegistryClient; seen: string[]; port: number }> {
  const stack = new AsyncDisposableStack();
  const seen: string[] = [];
  const rest = honest();
  const server = stack.use(
    await serve((request, response) => {
      if (request.url === '/v2/') return rest(request, response);
      seen.push(`${request.method} ${request.url}${request.headers.range ? ` ${request.headers.range}` : ''}`);
      lie(request, response, () => rest(request, response));
    }),
  );
  const client = stack.use(new RegistryClient(`127.0.0.1:${server.port}`, options));
  return { client, seen, port: server.port, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const fails = (promise: Promise<unknown>, kind: ErrorKind, message: RegExp): Promise<void> =>
  assert.rejects(promise, (error) => {
    assert.ok(isKind(error, kind), String(error));
    assert.match(error.message, message);
    return true;
  });

const readBlob = async (client: RegistryClient, signal?: AbortSignal): Promise<Uint8Array> =>
  collect((await client.getBlob(repository, blobDigest, signal && { signal })).body, 1e7, 'blob');

describe('RegistryClient: tokens', () => {
  /** A registry that wants a token, and counts how often one is fetched. */
  const guarded =
    (state: { fetched: number; valid: string; expires?: number }): Lie =>
    (request, response, honestly) => {
      const url = new URL(request.url ?? '', `http://${request.headers.host}`);
      if (url.pathname === '/token') {
        assert.equal(request.headers.authorization, undefined);
        assert.deepEqual(
          [url.searchParams.get('service'), url.searchParams.get('scope')],
          ['a "quoted" service', 'repository:team/app:pull'],
        );
        state.fetched++;
        response.end(JSON.stringify({ token: state.valid, expires_in: 300 }));
      } else if (request.headers.authorization === `Bearer ${state.valid}`) honestly();
      else {
        response.setHeader(
          'www-authenticate',
          `Basic realm="x", Bearer realm="http://${request.headers.host}/token",service="a \\"quoted\\" service",error="invalid_token"`,
        );
        response.writeHead(401).end();
      }
    };

  test('an anonymous token is fetched once for parallel requests, and again when it stops working', async () => {
    const state = { fetched: 0, valid: 'first' };
    await using peer = await against(guarded(state));
    await Promise.all([
      peer.client.getManifest(repository, tag),
      readBlob(peer.client),
      peer.client.headBlob(repository, blobDigest),
    ]);
    assert.equal(state.fetched, 1);
    await peer.client.getManifest(repository, tag);
    assert.equal(state.fetched, 1);
    state.valid = 'second';
    await peer.client.getManifest(repository, tag);
    assert.equal(state.fetched, 2);
  });

  test('a registry that refuses its own token, or wants a password, is denied after one round', async () => {
    await using peer = await against((request, response) => {
      if (request.url?.startsWith('/token') === true) return void response.end('{"access_token":"useless"}');
      response.setHeader('www-authenticate', `Bearer realm="http://${request.headers.host}/token"`);
      response.writeHead(401).end();
    });
    await fails(peer.client.getManifest(repository, tag), 'denied', /wants a login/);
    assert.equal(peer.seen.length, 3);
    await using basic = await against(
      (_, response) => void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end(),
    );
    await fails(basic.client.getManifest(repository, tag), 'denied', /wants a login/);
  });

  test('a realm that is plain http elsewhere, no address, or has a user in it is not asked (CVE-2019-10214)', async () => {
    for (const realm of [
      'http://tokens.example/token',
      'http://127.0.0.1.example/token',
      'ftp://127.0.0.1/',
      'nonsense',
      'http://u:p@127.0.0.1/token',
      'https://u@tokens.example/',
    ]) {
      await using peer = await against(
        (_, response) => void response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end(),
      );
      await fails(peer.client.getManifest(repository, tag), 'denied', /not https|no address|user name/);
    }
  });

  test('an answer without a usable token is an error', async () => {
    for (const answer of [
      '',
      '{}',
      '[]',
      'null',
      '{"token":""}',
      '{"token":"a\\nb"}',
      '{"token":7}',
      JSON.stringify({ token: 'x'.repeat(2_000_000) }),
    ]) {
      await using peer = await against((request, response) => {
        if (request.url?.startsWith('/token') === true) return void response.end(answer);
        response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end();
      });
      await fails(peer.client.getManifest(repository, tag), 'invalid', /token/);
    }
  });
});

describe('RegistryClient: redirects', () => {
  test('Authorization goes to its own origin only, other headers follow', async () => {
    const got: (string | undefined)[] = [];
    await using other = await serve((request, response) => {
      got.push(request.headers.authorization, request.headers.range);
      response.writeHead(206, { 'content-range': `bytes 10-${blob.length - 1}/${blob.length}` }).end(blob.subarray(10));
    });
    await using peer = await against((request, response, honestly) => {
      if (request.url?.startsWith('/token') === true) return void response.end('{"token":"secret"}');
      if (request.headers.authorization !== 'Bearer secret') {
        response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end();
      } else if (request.url?.includes('/blobs/') === true) {
        response.writeHead(307, { location: `/v2/again` }).end();
      } else if (request.url === '/v2/again') {
        response.writeHead(302, { location: `http://localhost:${other.port}/elsewhere` }).end();
      } else honestly();
    });
    const { body, sizeBytes } = await peer.client.getBlob(repository, blobDigest, { offset: 10 });
    assert.equal(sizeBytes, blob.length);
    assert.equal(digestOf(await collect(body, 1e7, 'blob')), digestOf(blob.subarray(10)));
    assert.deepEqual(got, [undefined, 'bytes=10-']);
  });

  test('a 401 of the host we were sent to is not answered with a token', async () => {
    let asked = 0;
    await using other = await serve((request, response) => {
      if (request.url === '/token') asked++;
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end();
    });
    await using peer = await against(
      (_, response) => void response.writeHead(302, { location: `http://localhost:${other.port}/x` }).end(),
    );
    await fails(readBlob(peer.client), 'denied', /wants a login/);
    assert.equal(asked, 0);
  });

  test('redirects to plain http elsewhere, to other schemes, with a user, without end or to nowhere are refused', async () => {
    for (const [location, message] of [
      ['http://registry.example/x', /not https/],
      ['ftp://127.0.0.1/x', /not https/],
      ['file:///etc/passwd', /not https/],
      ['http://u:p@127.0.0.1/x', /user name/],
      ['/v2/team/app/manifests/one', /more than 5/],
      ['http://', /nowhere/],
    ] as const) {
      await using peer = await against((_, response) => void response.writeHead(307, { location }).end());
      await fails(peer.client.getManifest(repository, tag), 'denied', message);
    }
  });

  test('https never leads to http, not even on this machine', { skip: needs.program('openssl') }, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tare-tls-'));
    try {
      const certificates = makeCertificates(dir);
      await using plain = await serve(honest());
      await using secure = await serve(
        (_, response) =>
          void response.writeHead(307, { location: `http://127.0.0.1:${plain.port}/v2/team/app/manifests/one` }).end(),
        certificates,
      );
      const ca = [readFileSync(certificates.ca, 'utf8')];
      using client = new RegistryClient(`localhost:${secure.port}`, { ...quick, ca });
      await fails(client.getManifest(repository, tag), 'denied', /not https/);
      await using realm = await serve(
        (_, response) =>
          void response
            .writeHead(401, { 'www-authenticate': `Bearer realm="http://127.0.0.1:${plain.port}/token"` })
            .end(),
        certificates,
      );
      using second = new RegistryClient(`localhost:${realm.port}`, { ...quick, ca });
      await fails(second.getManifest(repository, tag), 'denied', /not https/);
      using stranger = new RegistryClient(`localhost:${secure.port}`, quick);
      await fails(stranger.getManifest(repository, tag), 'denied', /certificate is not trusted/);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('RegistryClient: failures that pass', () => {
  test('5xx, 408, 429 and broken connections are tried again; other answers are not', async () => {
    for (const failure of [500, 503, 408, 429, 0]) {
      let count = 0;
      await using peer = await against((_, response, honestly) => {
        if (++count > 2) return honestly();
        if (failure === 0) return void response.destroy();
        response.writeHead(failure, { 'retry-after': '0' }).end('{}');
      });
      assert.deepEqual(Buffer.from((await peer.client.getManifest(repository, tag)).bytes), manifest, String(failure));
      assert.equal(count, 3);
    }
    for (const [status, kind] of [
      [400, 'invalid'],
      [403, 'denied'],
      [404, 'not-found'],
      [501, 'unavailable'],
    ] as const) {
      await using peer = await against((_, response) => void response.writeHead(status).end());
      await fails(peer.client.getManifest(repository, tag), kind, /Cannot read manifest 127\.0\.0\.1/);
      assert.equal(peer.seen.length, 1);
    }
  });

  test('it gives up after the attempts it was allowed, with the status', async () => {
    await using peer = await against((_, response) => void response.writeHead(503).end());
    await assert.rejects(
      peer.client.getManifest(repository, tag),
      (error) => error instanceof RegistryError && error.status === 503 && isKind(error, 'unavailable'),
    );
    assert.equal(peer.seen.length, 3);
  });

  test('a blob goes on at the byte where its connection broke', async () => {
    let count = 0;
    await using peer = await against((_, response, honestly) => {
      if (++count > 2) return honestly();
      const start = count === 1 ? 0 : 100_000;
      const status = start === 0 ? 200 : 206;
      response.writeHead(status, {
        'content-length': blob.length - start,
        ...(start > 0 && { 'content-range': `bytes ${start}-${blob.length - 1}/${blob.length}` }),
      });
      response.write(blob.subarray(start, start + 100_000), () => setTimeout(() => response.destroy(), 20));
    });
    assert.deepEqual(Buffer.from(await readBlob(peer.client)), blob);
    assert.deepEqual(
      peer.seen.map((line) => line.split(' ')[2]),
      [undefined, 'bytes=100000-', 'bytes=200000-'],
    );
  });

  test('a blob goes on also with a server that knows no ranges', async () => {
    let count = 0;
    await using peer = await against((_, response) => {
      response.writeHead(200, { 'content-length': blob.length });
      if (++count > 1) return void response.end(blob);
      response.write(blob.subarray(0, 123_456), () => setTimeout(() => response.destroy(), 20));
    });
    assert.deepEqual(Buffer.from(await readBlob(peer.client)), blob);
    assert.equal(count, 2);
  });

  test('a blob that breaks again and again without getting on, changes its size or goes on elsewhere is an error', async () => {
    await using stuck = await against((_, response) => {
      response.writeHead(200, { 'content-length': blob.length });
      response.write(blob.subarray(0, 10), () => setTimeout(() => response.destroy(), 5));
    });
    await fails(readBlob(stuck.client), 'unavailable', /the connection broke/);
    for (const range of [
      `bytes 5-${blob.length - 1}/${blob.length}`,
      `bytes 10-${blob.length}/${blob.length + 1}`,
      'nonsense',
    ]) {
      let count = 0;
      await using peer = await against((_, response) => {
        if (++count === 1) {
          response.writeHead(200, { 'content-length': blob.length });
          return void response.write(blob.subarray(0, 10), () => setTimeout(() => response.destroy(), 5));
        }
        response.writeHead(206, { 'content-range': range }).end(blob.subarray(10));
      });
      await fails(readBlob(peer.client), 'invalid', /another part|size changed/);
    }
  });

  test('a server that says nothing, or stops in the middle, ends the wait', async () => {
    const options = { idleTimeoutMs: 50, retry: { attempts: 1, delayMs: 1 } };
    await using silent = await against(() => {}, options);
    await fails(silent.client.getManifest(repository, tag), 'unavailable', /does not answer/);
    await using stops = await against((_, response) => {
      response.writeHead(200, { 'content-length': blob.length });
      response.write(blob.subarray(0, 10));
    }, options);
    await fails(readBlob(stops.client), 'unavailable', /stopped sending/);
  });

  test('a slow reader is not taken for a silent server', async () => {
    await using peer = await against((_, __, honestly) => honestly(), {
      idleTimeoutMs: 60,
      retry: { attempts: 1, delayMs: 1 },
    });
    let bytes = 0;
    for await (const chunk of (await peer.client.getBlob(repository, blobDigest)).body) {
      bytes += chunk.byteLength;
      if (bytes < 200_000) await new Promise((resolve) => setTimeout(resolve, 150));
    }
    assert.equal(bytes, blob.length);
  });

  test('an abort ends a wait between tries and one for an answer at once', async () => {
    for (const lie of [
      ((_, response) => void response.writeHead(503, { 'retry-after': '30' }).end()) satisfies Lie,
      (() => {}) satisfies Lie,
    ]) {
      await using peer = await against(lie);
      const started = performance.now();
      await fails(
        peer.client.getManifest(repository, tag, { signal: AbortSignal.timeout(50) }),
        'deadline',
        /took too long/,
      );
      assert.ok(performance.now() - started < 2000);
    }
  });

  test('nobody there is unavailable at once, every time', async () => {
    let port = 0;
    {
      await using gone = await serve(() => {});
      ({ port } = gone);
    }
    using client = new RegistryClient(`127.0.0.1:${port}`, quick);
    await fails(client.getManifest(repository, tag), 'unavailable', /nothing listens there/);
    await fails(client.getManifest(repository, tag), 'unavailable', /nothing listens there/);
  });
});

describe('RegistryClient: lies', () => {
  test('a manifest that is not what it was asked for as is refused, naming both digests', async () => {
    const other = digestOf(Buffer.from('x'));
    await using peer = await against(
      (_, response) => void response.writeHead(200, { 'docker-content-digest': other }).end(manifest),
    );
    await fails(peer.client.getManifest(repository, tag), 'invalid', new RegExp(`${digestOf(manifest)}.*${other}`));
    await fails(
      peer.client.getManifest(repository, blobDigest),
      'invalid',
      new RegExp(`${digestOf(manifest)}.*${blobDigest}`),
    );
  });

  test('an endless manifest, error or list of tags is cut off', async () => {
    const endless =
      (status: number): Lie =>
      (_, response) => {
        response.writeHead(status, { 'content-type': 'application/json' });
        const more = (): void =>
          void (
            response.writableEnded ||
            response.destroyed ||
            (response.write(Buffer.alloc(1_000_000, 32)) ? setImmediate(more) : response.once('drain', more))
          );
        more();
      };
    await using peer = await against(endless(200));
    await fails(peer.client.getManifest(repository, tag), 'invalid', /longer than 4194304/);
    await fails(all(peer.client.tags(repository)), 'invalid', /longer than/);
    await using failing = await against(endless(404));
    await fails(failing.client.getManifest(repository, tag), 'not-found', /does not have it/);
  });

  test('the words of a registry reach a message without control characters and not at length', async () => {
    const message = `\u001b[2J\u202e evil\n${'x'.repeat(5000)}`;
    await using peer = await against(
      (_, response) =>
        void response.writeHead(404).end(JSON.stringify({ errors: [{ code: 'NAME_UNKNOWN', message }] })),
    );
    await assert.rejects(peer.client.getManifest(repository, tag), (error) => {
      assert.ok(error instanceof RegistryError && error.code === 'NAME_UNKNOWN');
      assert.ok(error.message.length < 400 && !/[\p{Cc}\p{Cf}]/u.test(error.message), error.message);
      return true;
    });
  });

  test('an encoding nobody asked for is refused', async () => {
    await using peer = await against(
      (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(manifest),
    );
    await fails(peer.client.getManifest(repository, tag), 'invalid', /encoded/);
  });

  test('tags() follows pages on its host, and no page elsewhere, again, or with a bad tag', async () => {
    const registry = new MemoryRegistry();
    const names = Array.from({ length: 25 }, (_, i) => `v${100 + i}`);
    for (const name of names) registry.addManifest(repository, manifest, mediaTypes.ociManifest, parseTag(name));
    const handler = registryHandler(registry);
    await using pages = await against((request, response) => {
      request.url = request.url?.replace('n=1000', 'n=10') ?? '';
      handler(request, response);
    });
    assert.deepEqual(await all(pages.client.tags(repository)), names);
    assert.equal(pages.seen.length, 3);
    for (const [link, kind, message] of [
      ['<http://other.example/v2/x>; rel="next"', 'denied', /another host/],
      ['</v2/team/app/tags/list?n=1000>; rel="next"', 'invalid', /never end/],
    ] as const) {
      await using peer = await against((_, response) => void response.writeHead(200, { link }).end('{"tags":["a"]}'));
      await fails(all(peer.client.tags(repository)), kind, message);
    }
    await using bad = await against((_, response) => void response.end('{"tags":["../x"]}'));
    await fails(all(bad.client.tags(repository)), 'invalid', /tag/);
  });

  test('a domain that is more than a host is refused', () => {
    for (const domain of ['a/b', 'a@b', 'a?b', '', 'a b', 'a#b'])
      assert.throws(
        () => new RegistryClient(domain),
        (error) => isKind(error, 'invalid'),
        domain,
      );
  });
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}
