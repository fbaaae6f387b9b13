/** A token server for a registry (distribution's token authentication): JSON web tokens that Debian's docker-registry accepts. */
import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { serve, type TestServer } from './http.ts';
import type { Certificates } from './registry.ts';

export const TOKEN_SERVICE = 'tare test registry';
export const TOKEN_ISSUER = 'tare test issuer';

/** One request for a token, as the server saw it. */
export interface TokenRequest {
  readonly method: string;
  readonly user: string | undefined;
  readonly scopes: readonly string[];
}

export interface TokenServer extends TestServer {
  readonly realm: string;
  /** What was asked for, in order. */
  readonly requests: readonly TokenRequest[];
  /** How long tokens are good for, in seconds; the registry allows a minute more. */
  lifetimeSeconds: number;
}

/** Everybody may pull from repositories below `public/`; a user with the right password, or the identity token `refresh-USER`, may do everything. */
export async function startTokenServer(
  certificates: Certificates,
  users: Readonly<Record<string, string>>,
  options: { readonly tls: boolean } = { tls: false },
): Promise<TokenServer> {
  const requests: TokenRequest[] = [];
  const key = createPrivateKey(readFileSync(certificates.key));
  const chain = [new X509Certificate(readFileSync(certificates.certificate)).raw.toString('base64')];
  let lifetimeSeconds = 300;

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://tokens.invalid');
    let form = url.searchParams;
    let user: string | undefined;
    let refused = false;
    if (request.method === 'POST') {
      let text = '';
      for await (const chunk of request) text += String(chunk);
      form = new URLSearchParams(text);
      user = /^refresh-(\w+)$/.exec(form.get('refresh_token') ?? '')?.[1];
      refused = user === undefined || users[user] === undefined || form.get('grant_type') !== 'refresh_token';
    } else if (request.headers.authorization !== undefined) {
      const pair = Buffer.from(request.headers.authorization.slice('Basic '.length), 'base64').toString();
      user = pair.slice(0, pair.indexOf(':'));
      refused = users[user] !== pair.slice(pair.indexOf(':') + 1);
    }
    const scopes = form.getAll('scope').flatMap((scope) => scope.split(' '));
    requests.push({ method: request.method ?? '', user, scopes });
    if (refused || form.get('service') !== TOKEN_SERVICE) return void response.writeHead(401).end('{}');
    const access = scopes.flatMap((scope) => {
      const [, type, name = '', actions = ''] = /^(\w+):(.+):([\w,*]+)$/.exec(scope) ?? [];
      const allowed = actions
        .split(',')
        .filter((action) => user !== undefined || (action === 'pull' && name.startsWith('public/')));
      return allowed.length === 0 ? [] : [{ type, name, actions: allowed }];
    });
    const now = Math.floor(Date.now() / 1000);
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = {
      iss: TOKEN_ISSUER,
      sub: user ?? '',
      aud: TOKEN_SERVICE,
      exp: now + lifetimeSeconds,
      nbf: now - 10,
      iat: now,
      jti: randomUUID(),
      access,
    };
    const body = `${encode({ typ: 'JWT', alg: 'ES256', x5c: chain })}.${encode(claims)}`;
    const signature = sign('sha256', Buffer.from(body), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
    const token = `${body}.${signature}`;
    response.end(
      JSON.stringify(
        request.method === 'POST'
          ? { access_token: token, expires_in: lifetimeSeconds }
          : { token, expires_in: lifetimeSeconds },
      ),
    );
  };

  const server = await serve(
    (request, response) => {
      answer(request, response).catch(() => response.destroy());
    },
    options.tls ? certificates : undefined,
  );
  return {
    ...server,
    realm: `${options.tls ? 'https' : 'http'}://127.0.0.1:${server.port}/token`,
    requests,
    get lifetimeSeconds() {
      return lifetimeSeconds;
    },
    set lifetimeSeconds(seconds) {
      lifetimeSeconds = seconds;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
