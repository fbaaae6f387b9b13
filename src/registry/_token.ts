/** Bearer tokens (distribution-spec's referenced "Token Authentication"): the challenge, the request for a token, the token. */
import { TareError } from '../base/errors.ts';
import type { HttpRequest } from './_exchange.ts';
import { isLoopback } from './_loopback.ts';
import { bodyOf } from './_request-body.ts';
import { basicAuthorization, type Credentials } from './credentials.ts';
import { RegistryError } from './error.ts';

/** `WWW-Authenticate`, one challenge: the scheme in lower case and its parameters by lower-case name. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** What a token is good for. */
export interface Token {
  readonly value: string;
  /** In the time of `performance.now()`. */
  readonly expiresAtMs: number;
}

/** The challenges in a WWW-Authenticate header (RFC 9110, 11.6.1). What cannot be read ends the list. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  const part =
    /[\s,]*(?:([!#$%&'*+.^_`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))|([!#$%&'*+.^_`|~\w-]+)(?=\s|,|$))/y;
  for (const text = header.slice(0, 8192); part.lastIndex < text.length;) {
    const match = part.exec(text);
    if (match === null) break;
    const [, name, quoted, plain, scheme] = match;
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), parameters: new Map() });
    else challenges.at(-1)?.parameters.set((name ?? '').toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
  }
  return challenges;
}

/** What to ask a token server for. */
export interface TokenWish {
  readonly scopes: readonly string[];
  readonly credentials: Credentials | undefined;
  /** The user agreed to plain http with this registry. */
  readonly insecure: boolean;
}

/**
 * The request for a token: anonymous, with a password (GET), or with an identity token (OAuth2's POST). The realm is chosen by the registry, so it has to be https
 * (CVE-2019-10214); only a registry that is itself plain http, on this machine or by the user's word, may name a plain http realm, on the same host.
 *
 * Errors: RegistryError `denied`.
 */
export function tokenRequest(
  challenge: Challenge,
  registry: URL,
  wish: TokenWish,
): { readonly url: URL; readonly request: HttpRequest } {
  const url = realmOf(challenge, registry, wish.insecure);
  const service = challenge.parameters.get('service');
  const { credentials, scopes } = wish;
  const headers = { accept: 'application/json' };
  if (credentials !== undefined && 'identityToken' in credentials) {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: credentials.identityToken,
      client_id: 'tare',
      ...(service !== undefined && { service }),
      ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    });
    const body = bodyOf(Buffer.from(form.toString()));
    return {
      url,
      request: { method: 'POST', headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' }, body },
    };
  }
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  if (credentials === undefined) return { url, request: { method: 'GET', headers } };
  url.searchParams.set('account', credentials.username);
  return { url, request: { method: 'GET', headers: { ...headers, authorization: basicAuthorization(credentials) } } };
}

function realmOf(challenge: Challenge, registry: URL, insecure: boolean): URL {
  const realm = challenge.parameters.get('realm') ?? '';
  const refuse = (state: string): never => {
    throw new RegistryError(401, 'UNAUTHORIZED', `Cannot sign in to ${registry.host}: ${state}`);
  };
  const url = URL.canParse(realm) ? new URL(realm) : refuse('it names no address for tokens');
  const sameHost = isLoopback(registry.hostname)
    ? isLoopback(url.hostname)
    : insecure && url.hostname === registry.hostname;
  const plain = url.protocol === 'http:' && registry.protocol === 'http:' && sameHost;
  if (url.protocol !== 'https:' && !plain)
    refuse(`it wants tokens from ${url.protocol}//${url.host}, which is not https`);
  if (url.username !== '' || url.password !== '') refuse('its address for tokens has a user name in it');
  return url;
}

/** The token in an answer of a token server, at `nowMs`. Errors: `invalid`. */
export function parseToken(bytes: Uint8Array, nowMs: number): Token {
  const bad = (state: string): never => {
    throw new TareError('invalid', `Cannot use the token of the registry: ${state}`);
  };
  let answer: unknown;
  try {
    answer = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return bad('the answer is not JSON');
  }
  const object = typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {};
  const value = object['token'] || object['access_token'];
  if (typeof value !== 'string' || !/^[\x21-\x7e]{1,65536}$/.test(value))
    return bad('there is none in the answer, or it has characters that no header takes');
  const seconds = typeof object['expires_in'] === 'number' ? object['expires_in'] : 60;
  // The spec's least is a minute. A little earlier than that we ask again, so that none expires on its way.
  return { value, expiresAtMs: nowMs + (Math.max(60, seconds) - 10) * 1000 };
}
