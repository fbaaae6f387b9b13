import { unlessCancelled } from './_cancel.ts';
import { errorOf } from './_error-of.ts';
import type { HttpRequest } from './_exchange.ts';
import type { HttpResponse } from './_response.ts';
import { formatScope, type Scope } from './_scope.ts';
import { parseChallenges, parseToken, tokenRequest, type Challenge } from './_token.ts';
import { basicAuthorization, type Credentials, type CredentialsFor } from './credentials.ts';
import { RegistryError } from './error.ts';

const MAX_TOKEN_BYTES = 1024 * 1024;

/** What a registry was told in an Authorization header. */
export interface Grant {
  readonly authorization: string;
  /** In the time of `performance.now()`. */
  readonly expiresAtMs: number;
}

export interface AuthorizerOptions {
  /** The registry: grants are for this origin and nobody else. */
  readonly origin: URL;
  /** Its name in references and in files of credentials. */
  readonly domain: string;
  readonly credentials: CredentialsFor | undefined;
  readonly insecure: boolean;
  /** Asks a token server, with repetitions, within one origin. */
  readonly ask: (url: URL, request: HttpRequest) => Promise<HttpResponse>;
}

/** Who we are to one registry: keeps a grant for each scope, gets one when asked for it, once for all who wait. */
export class Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #grants = new Map<string, Promise<Grant | undefined>>();
  readonly #credentials = new Map<string, Promise<Credentials | undefined>>();

  constructor(options: AuthorizerOptions) {
    this.#options = options;
  }

  /** What to send with a request for `scopes`, as far as is known before the registry asks. */
  async known(scopes: readonly Scope[], signal: AbortSignal | undefined, doing: string): Promise<Grant | undefined> {
    const pending = this.#grants.get(keyOf(scopes));
    const grant = pending && (await unlessCancelled(pending, signal, doing));
    return grant !== undefined && grant.expiresAtMs > performance.now() ? grant : undefined;
  }

  /**
   * What to send again with after a refusal of a request that carried `used`: undefined when nothing more can be said. Reads nothing of the answer but its headers.
   *
   * Errors: `denied` when the credentials are wrong, those of the token server's connection.
   */
  async answer(
    response: HttpResponse,
    scopes: readonly Scope[],
    used: Grant | undefined,
    how: { readonly signal: AbortSignal | undefined; readonly doing: string },
  ): Promise<Grant | undefined> {
    const challenges = parseChallenges(response.header('www-authenticate') ?? '');
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (response.status === 403 && !lacksScope(response)) return undefined;
    const challenge = bearer ?? challenges.find(({ scheme }) => scheme === 'basic');
    if (challenge === undefined) return undefined;
    const key = keyOf(scopes);
    // Several requests find out together that they need a grant: one of them asks.
    let asked = this.#grants.get(key);
    const known = asked && (await unlessCancelled(asked, how.signal, how.doing));
    if (asked === undefined || known === used || known === undefined || known.expiresAtMs <= performance.now()) {
      if (asked === this.#grants.get(key)) {
        const mine = this.#ask(challenge, scopes, used);
        mine.catch(() => this.#grants.get(key) === mine && this.#grants.delete(key));
        this.#grants.set(key, mine);
      }
      asked = this.#grants.get(key);
    }
    return asked && unlessCancelled(asked, how.signal, how.doing);
  }

  async #ask(challenge: Challenge, scopes: readonly Scope[], used: Grant | undefined): Promise<Grant | undefined> {
    const credentials = await this.#find(scopes);
    if (challenge.scheme === 'basic') {
      if (credentials === undefined || 'identityToken' in credentials) return undefined;
      const authorization = basicAuthorization(credentials);
      if (authorization === used?.authorization) throw this.wrong();
      return { authorization, expiresAtMs: Infinity };
    }
    const { origin, insecure } = this.#options;
    const wanted = scopes.map(formatScope);
    if (challenge.parameters.get('error') === 'insufficient_scope') wanted.push(...scopesOf(challenge, wanted));
    const { url, request } = tokenRequest(challenge, origin, { scopes: wanted, credentials, insecure });
    const response = await this.#options.ask(url, request);
    if (response.status === 200) {
      const token = parseToken(await response.bytes(MAX_TOKEN_BYTES, `the token of ${url.host}`), performance.now());
      return { authorization: `Bearer ${token.value}`, expiresAtMs: token.expiresAtMs };
    }
    if (credentials !== undefined && [400, 401, 403].includes(response.status)) {
      response.discard();
      throw this.wrong();
    }
    throw await errorOf(response, `get a token of ${url.host}`, undefined);
  }

  #find(scopes: readonly Scope[]): Promise<Credentials | undefined> {
    const repository = scopes[0]?.repository;
    const key = repository ?? '';
    let found = this.#credentials.get(key);
    if (found === undefined) {
      found = Promise.resolve(this.#options.credentials?.(this.#options.domain, repository));
      found.catch(() => this.#credentials.delete(key));
      this.#credentials.set(key, found);
    }
    return found;
  }

  /** The error for credentials that the registry does not accept. */
  wrong(): RegistryError {
    const { domain } = this.#options;
    return new RegistryError(
      401,
      'UNAUTHORIZED',
      `Cannot sign in to ${domain}: it does not accept the user name and password; log in again: tare login ${domain}`,
    );
  }
}

/** True when a registry refuses because what it was told is not enough for this request (RFC 6750, 3.1). */
export function lacksScope(response: HttpResponse): boolean {
  return parseChallenges(response.header('www-authenticate') ?? '').some(
    ({ scheme, parameters }) => scheme === 'bearer' && parameters.get('error') === 'insufficient_scope',
  );
}

function keyOf(scopes: readonly Scope[]): string {
  return scopes.map(formatScope).join(' ');
}

/** What else the registry says is needed. */
function scopesOf(challenge: Challenge, known: readonly string[]): string[] {
  const named = (challenge.parameters.get('scope') ?? '').split(' ', 10);
  return named.filter(
    (scope) => /^[a-z]+(?:\([a-z]+\))?:[\w./:-]{1,300}:[a-z,*]{1,100}$/.test(scope) && !known.includes(scope),
  );
}
