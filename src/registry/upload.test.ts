import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { describe, test } from 'node:test';
import { isKind, type ErrorKind } from '../base/errors.ts';
import { mediaTypes, parseRepositoryPath, parseTag } from '../spec/mod.ts';
import { serve } from '../../test/support/http.ts';
import { RegistryClient, type RegistryClientOptions } from './client.ts';
import { RegistryError } from './error.ts';
import { MemoryRegistry } from './memory.ts';
import { registryHandler } from './server.ts';
import { digestOf } from './verified.ts';

const repository = parseRepositoryPath('team/app');
const bytes = randomBytes(3_000_000);
const blob = { digest: digestOf(bytes), sizeBytes: bytes.length };
const quick: RegistryClientOptions = {
  retry: { attempts: 3, delayMs: 5 },
  credentials: { username: 'ann', password: 'secret' },
};

type Lie = (request: IncomingMessage, response: ServerResponse, honestly: () => void) => void;

interface Peer extends AsyncDisposable {
  readonly client: RegistryClient;
  readonly registry: MemoryRegistry;
  /** `METHOD` and what of the address is worth a look. */
  readonly seen: string[];
  readonly port: number;
  /** Where `open` was asked to begin. */
  readonly opened: number[];
  send(): Promise<void>;
  stream(): Promise<void>;
  has(): Promise<boolean>;
}

/** A client whose registry answers as `lie` wants, in front of one that is honest. */
async function against(lie: Lie, options: RegistryClientOptions = quick): Promise<Peer> {
  const stack = new AsyncDisposableStack();
  const seen: string[] = [];
  const opened: number[] = [];
  const registry = new MemoryRegistry();
  const honest: RequestListener = registryHandler(registry);
  const server = stack.use(
    await serve((request, response) => {
      if (request.url === '/v2/') return honest(request, response);
      seen.push(`${request.method} ${request.headers['content-range'] ?? ''}`.trim());
      lie(request, response, () => honest(request, response));
    }),
  );
  const client = stack.use(new RegistryClient(`127.0.0.1:${server.port}`, options));
  return {
    client,
    registry,
    seen,
    opened,
    port: server.port,
    send: () => client.putBlob(repository, blob, (offset) => (opened.push(offset), pieces(offset))),
    stream: () => client.streamBlob(repository, pieces(0), () => blob),
    has: () =>
      registry.headBlob(repository, blob.digest).then(
        () => true,
        () => false,
      ),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function* pieces(offset: number): AsyncGenerator<Uint8Array> {
  for (let at = offset; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}

const fails = (promise: Promise<unknown>, kind: ErrorKind, message: RegExp): Promise<void> =>
  assert.rejects(promise, (error) => {
    assert.ok(isKind(error, kind), String(error));
    assert.match(error.message, message);
    return true;
  });

/** Breaks the connection of the `count`-th upload request after `size` bytes of its body reached the registry. */
function breaksAfter(size: number, counts: readonly number[]): Lie {
  let uploads = 0;
  return (request, _, honestly) => {
    if (request.method !== 'PUT' && request.method !== 'PATCH') return honestly();
    if (!counts.includes(++uploads)) return honestly();
    let got = 0;
    request.on('data', (chunk: Buffer) => {
      got += chunk.byteLength;
      if (got >= size) request.socket.destroy();
    });
    honestly();
  };
}

describe('RegistryClient: uploads that break', () => {
  test('putBlob() goes on at the byte the registry has', async () => {
    await using peer = await against(breaksAfter(1_500_000, [1]));
    await peer.send();
    assert.ok(await peer.has());
    assert.equal(peer.opened.length, 2);
    const [first, second = 0] = peer.opened;
    assert.equal(first, 0);
    assert.ok(second > 1_000_000 && second < bytes.length, `went on at ${second}`);
    assert.deepEqual(peer.seen, ['POST', 'PUT', 'GET', `PUT ${second}-${bytes.length - 1}`]);
  });

  test('putBlob() starts over where the registry forgot, or does not say where it is', async () => {
    for (const answer of [404, 500, 204]) {
      const breaking = breaksAfter(1_500_000, [1]);
      await using peer = await against((request, response, honestly) => {
        if (request.method === 'GET') return void response.writeHead(answer).end();
        breaking(request, response, honestly);
      });
      await peer.send();
      assert.ok(await peer.has());
      assert.deepEqual(peer.opened, [0, 0], String(answer));
    }
  });

  test('putBlob() whose last answer got lost finds the blob and is done', async () => {
    let puts = 0;
    await using peer = await against((request, response, honestly) => {
      if (request.method === 'PUT' && ++puts === 1) response.writeHead = () => (request.socket.destroy(), response);
      honestly();
    });
    await peer.send();
    assert.equal(puts, 1);
    assert.ok(await peer.has());
  });

  test('putBlob() gives up after its attempts when nothing gets on, and cancels', async () => {
    await using peer = await against((request, _, honestly) => {
      if (request.method !== 'PUT') return honestly();
      request.socket.destroy();
    });
    await fails(peer.send(), 'unavailable', /the connection broke/);
    assert.equal(peer.seen.join(' '), 'POST PUT GET HEAD POST PUT GET HEAD POST PUT DELETE');
    assert.equal(await peer.has(), false);
  });

  test('a registry that lost bytes gets all of it again', async () => {
    const breaking = breaksAfter(1_500_000, [1]);
    let puts = 0;
    await using peer = await against((request, response, honestly) => {
      // It says it has a megabyte that it does not have.
      if (request.method === 'GET')
        return void response.writeHead(204, { location: request.url, range: '0-999999' }).end();
      if (request.method === 'PUT' && ++puts === 2) {
        request.resume();
        const errors = [{ code: 'DIGEST_INVALID', message: 'provided digest did not match uploaded content' }];
        return void request.on('end', () => response.writeHead(400).end(JSON.stringify({ errors })));
      }
      breaking(request, response, honestly);
    });
    await peer.send();
    assert.deepEqual(peer.opened, [0, 1_000_000, 0]);
    assert.ok(await peer.has());
  });

  test('streamBlob() that breaks is unavailable: its bytes are gone', async () => {
    await using peer = await against(breaksAfter(1_000_000, [1]));
    await fails(peer.stream(), 'unavailable', /the connection broke/);
    assert.equal(await peer.has(), false);
  });

  test('streamBlob() to a registry that lost bytes of it is invalid before the digest is asked for', async () => {
    await using peer = await against((request, response, honestly) => {
      if (request.method !== 'PATCH') return honestly();
      request.resume().on('end', () => response.writeHead(202, { location: request.url, range: '0-99' }).end());
    });
    await fails(peer.stream(), 'invalid', /has 100 of its 3000000 bytes/);
  });

  test('5xx, 408 and 429 are tried again after the time the registry asks for, other answers are not', async () => {
    for (const status of [500, 503, 408, 429]) {
      let puts = 0;
      await using peer = await against((request, response, honestly) => {
        if (request.method !== 'PUT' || ++puts > 1) return honestly();
        request.resume();
        response.writeHead(status, { 'retry-after': status === 429 ? '1' : '0' }).end();
      });
      const started = performance.now();
      await peer.send();
      assert.ok(status !== 429 || performance.now() - started >= 990);
      assert.ok(await peer.has());
    }
    for (const [status, kind] of [
      [400, 'invalid'],
      [403, 'denied'],
      [405, 'unsupported'],
      [413, 'exhausted'],
    ] as const) {
      await using peer = await against((request, response, honestly) => {
        if (request.method !== 'PUT') return honestly();
        response.writeHead(status, { connection: 'close' }).end();
      });
      await assert.rejects(peer.send(), (error) => error instanceof RegistryError && error.status === status);
      await assert.rejects(peer.send(), (error) => isKind(error, kind));
    }
  });

  test('a registry that stops reading, or never answers, ends the wait', async () => {
    const options = { ...quick, idleTimeoutMs: 50, retry: { attempts: 1, delayMs: 1 } };
    await using stuck = await against((request, _, honestly) => {
      if (request.method !== 'PUT') honestly();
    }, options);
    await fails(stuck.send(), 'unavailable', /stopped reading|does not answer/);
    await using silent = await against((request, _, honestly) => {
      if (request.method === 'PUT') request.resume();
      else honestly();
    }, options);
    await fails(silent.send(), 'unavailable', /does not answer/);
  });

  test('a slow source is not taken for a silent registry', async () => {
    await using peer = await against((_, __, honestly) => honestly(), {
      ...quick,
      idleTimeoutMs: 60,
      retry: { attempts: 1, delayMs: 1 },
    });
    const slow = async function* (): AsyncGenerator<Uint8Array> {
      for await (const piece of pieces(0)) {
        yield piece;
        if (piece.byteOffset % 1_000_000 === 0) await new Promise((resolve) => setTimeout(resolve, 400));
      }
      await new Promise((resolve) => setTimeout(resolve, 400));
    };
    await peer.client.streamBlob(repository, slow(), () => blob);
    assert.ok(await peer.has());
  });
});

describe('RegistryClient: who gets credentials', () => {
  test('an upload Location on another host gets the bytes and no credentials (GHSA-jxpm-75mh-9fp7)', async () => {
    const got: (string | undefined)[] = [];
    let body = 0;
    await using other = await serve((request, response) => {
      got.push(request.headers.authorization);
      request.on('data', (chunk: Buffer) => (body += chunk.byteLength));
      request.on('end', () => response.writeHead(201).end());
    });
    const location = `http://localhost:${other.port}/elsewhere?state=a%2Fb+c`;
    await using peer = await against((request, response, honestly) => {
      if (request.headers.authorization === undefined)
        return void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      if (request.method === 'POST') return void response.writeHead(202, { location }).end();
      honestly();
    });
    await peer.send();
    assert.deepEqual([got, body], [[undefined], bytes.length]);
  });

  test('a 401 of the host an upload was sent to is not answered', async () => {
    const asked: (string | undefined)[] = [];
    await using other = await serve((request, response) => {
      asked.push(request.headers.authorization);
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"', connection: 'close' }).end();
    });
    await using peer = await against((request, response, honestly) => {
      if (request.method !== 'POST') return honestly();
      response.writeHead(202, { location: `http://localhost:${other.port}/x` }).end();
    });
    await fails(peer.send(), 'denied', /wants a login/);
    assert.deepEqual(new Set(asked), new Set([undefined]));
  });

  test('a Location in plain http elsewhere, with a user, of another scheme or nowhere is refused', async () => {
    for (const location of [
      'http://registry.example/x',
      'http://u:p@127.0.0.1/x',
      'ftp://127.0.0.1/x',
      'http://',
      '',
    ]) {
      await using peer = await against((request, response, honestly) => {
        if (request.method === 'POST') return void response.writeHead(202, { location }).end();
        honestly();
      });
      await fails(peer.send(), 'denied', /not https|user name|nowhere/);
      assert.equal(peer.opened.length, 0);
    }
  });

  test('a server that does not know Expect gets the body without asking', async () => {
    await using peer = await against((request, response, honestly) => {
      if (request.headers.expect === undefined) return honestly();
      response.writeHead(417, { connection: 'close' }).end();
    });
    await peer.stream();
    assert.ok(await peer.has());
  });

  test('a redirect of an upload keeps method and body, and drops credentials at another host', async () => {
    const got: string[] = [];
    await using other = await serve((request, response) => {
      got.push(`${request.method} ${request.headers.authorization ?? 'anonymous'}`);
      request.resume().on('end', () => response.writeHead(201).end());
    });
    const redirecting =
      (status: number): Lie =>
      (request, response, honestly) => {
        if (request.headers.authorization === undefined)
          return void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        if (request.method !== 'PUT') return honestly();
        response.writeHead(status, { location: `http://localhost:${other.port}/x`, connection: 'close' }).end();
      };
    await using peer = await against(redirecting(307));
    await peer.send();
    assert.deepEqual(got, ['PUT anonymous']);
    await using seeOther = await against(redirecting(303));
    await fails(seeOther.send(), 'denied', /would turn a PUT into a GET/);
  });

  test('a token that stops working between two requests of an upload is renewed', async () => {
    for (const how of ['send', 'stream'] as const) {
      let valid = 0;
      let expired = false;
      await using peer = await against((request, response, honestly) => {
        if (request.url?.startsWith('/token') === true) {
          assert.match(request.headers.authorization ?? '', /^Basic /);
          return void response.end(JSON.stringify({ token: `t${++valid}` }));
        }
        if ((request.method === 'PUT' || request.method === 'PATCH') && !expired) {
          expired = true;
          valid += 10;
        }
        if (request.headers.authorization === `Bearer t${valid}`) return honestly();
        const challenge = `Bearer realm="http://${request.headers.host}/token",service="s"`;
        response.writeHead(401, { 'www-authenticate': challenge, connection: 'close' }).end();
      });
      await peer[how]();
      assert.ok(await peer.has(), how);
    }
  });

  test('403 with insufficient_scope is answered with what the registry says is needed, once', async () => {
    const scopes: string[][] = [];
    await using peer = await against((request, response, honestly) => {
      const url = new URL(request.url ?? '', 'http://x');
      if (url.pathname === '/token') {
        scopes.push(url.searchParams.getAll('scope'));
        return void response.end(JSON.stringify({ token: `t${scopes.length}` }));
      }
      if (request.headers.authorization === 'Bearer t2') return honestly();
      const lacking = request.headers.authorization === 'Bearer t1';
      const scope = 'repository:team/app:pull,push repository:team/base:pull bad"scope';
      const challenge = `Bearer realm="http://${request.headers.host}/token"${lacking ? `,error="insufficient_scope",scope="${scope.replaceAll('"', '\\"')}"` : ''}`;
      response.writeHead(lacking ? 403 : 401, { 'www-authenticate': challenge }).end();
    });
    const small = Buffer.from('small');
    const identity = { digest: digestOf(small), sizeBytes: small.length };
    await peer.client.putBlob(repository, identity, async function* () {
      yield small;
    });
    assert.deepEqual(scopes, [
      ['repository:team/app:pull,push'],
      ['repository:team/app:pull,push', 'repository:team/base:pull'],
    ]);
    await using never = await against((request, response) => {
      if (request.url?.startsWith('/token') === true) return void response.end('{"token":"useless"}');
      const challenge = `Bearer realm="http://${request.headers.host}/token",error="insufficient_scope",scope="x"`;
      response.writeHead(403, { 'www-authenticate': challenge }).end();
    });
    await fails(never.send(), 'denied', /does not allow it/);
    assert.equal(never.seen.filter((line) => line.startsWith('POST')).length, 2);
  });

  test('a token server that redirects the exchange of an identity token elsewhere does not pass it on', async () => {
    let leaked = 0;
    await using other = await serve((_, response) => {
      leaked++;
      response.end('{"token":"x"}');
    });
    await using peer = await against(
      (request, response) => {
        if (request.url?.startsWith('/token') === true)
          return void response.writeHead(307, { location: `http://localhost:${other.port}/token` }).end();
        response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${request.headers.host}/token"` }).end();
      },
      { ...quick, credentials: { identityToken: 'secret' } },
    );
    await fails(peer.send(), 'denied', /with a secret/);
    assert.equal(leaked, 0);
  });

  test('a realm in plain http elsewhere gets no password', async () => {
    await using peer = await against(
      (_, response) =>
        void response.writeHead(401, { 'www-authenticate': 'Bearer realm="http://tokens.example/token"' }).end(),
    );
    await fails(peer.send(), 'denied', /not https/);
  });
});

describe('RegistryClient: answers to writes that are wrong', () => {
  test('another digest than was sent is invalid', async () => {
    const other = digestOf(Buffer.from('other'));
    await using peer = await against((request, response, honestly) => {
      if (request.method !== 'PUT') return honestly();
      request.resume().on('end', () => response.writeHead(201, { 'docker-content-digest': other }).end());
    });
    await fails(peer.send(), 'invalid', new RegExp(`stored ${other}`));
    const manifest = { bytes: Buffer.from('{}'), mediaType: mediaTypes.ociManifest };
    await fails(
      peer.client.putManifest(repository, parseTag('one'), manifest),
      'invalid',
      new RegExp(`stored ${other}`),
    );
  });

  test('a success of another kind than the protocol has is invalid', async () => {
    await using peer = await against((request, response) => {
      request.resume().on('end', () => response.writeHead(200).end());
    });
    await fails(peer.send(), 'invalid', /answered 200/);
    const manifest = { bytes: Buffer.from('{}'), mediaType: mediaTypes.ociManifest };
    await fails(peer.client.putManifest(repository, parseTag('one'), manifest), 'invalid', /answered 200/);
  });

  test('a manifest that is too long is not sent', async () => {
    await using peer = await against((_, __, honestly) => honestly());
    const manifest = { bytes: Buffer.alloc(5_000_000), mediaType: mediaTypes.ociManifest };
    await fails(peer.client.putManifest(repository, parseTag('one'), manifest), 'invalid', /longer than 4194304/);
    assert.deepEqual(peer.seen, []);
  });
});
