/** Requests to one registry: redirects, tokens and repeated tries. What belongs to the registry's origin (tokens, later credentials) never goes to another. */
import { setTimeout as delay } from 'node:timers/promises';
import { TareError } from '../base/errors.ts';
import { cancelledBy, unlessCancelled } from './_cancel.ts';
import { ConnectionError, isLoopback, type Exchange, type HttpRequest, type HttpResponse } from './_exchange.ts';
import { parseChallenges, parseToken, tokenUrl, type Token } from './_token.ts';
import { RegistryError, isRegistryCode, type RegistryCode } from './error.ts';

const MAX_REDIRECTS = 5;
const MAX_TOKEN_BYTES = 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;
const MAX_RETRY_AFTER_MS = 60_000;

export interface RetryOptions {
  /** How often a request is made at most. */
  readonly attempts: number;
  /** The wait before the second try; it doubles each time. */
  readonly delayMs: number;
}

export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
  /** What a token is asked for: `repository:NAME:pull`. */
  readonly scope: string;
  readonly signal?: AbortSignal | undefined;
  /** What is done, for messages: `read image x`. */
  readonly doing: string;
  /** What a 404 means that says no more, as an answer to HEAD. */
  readonly missing: RegistryCode;
}

/** The registry at one origin. */
export class RegistryFetch {
  readonly #exchange: Exchange;
  readonly #origin: URL;
  readonly #retry: RetryOptions;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #tokens = new Map<string, Promise<Token>>();

  constructor(exchange: Exchange, origin: URL, retry: RetryOptions, userAgent: string) {
    this.#exchange = exchange;
    this.#origin = origin;
    this.#retry = retry;
    this.#headers = { 'user-agent': userAgent };
  }

  get origin(): URL {
    return this.#origin;
  }

  /** An answer with a status below 400. Errors: RegistryError, ConnectionError, `cancelled`, `deadline`. */
  async send(url: URL, request: RegistryRequest): Promise<HttpResponse> {
    const response = await this.#persist(request, () => this.#authorized(url, request));
    if (response.status < 400) return response;
    throw await errorOf(response, request.doing, request.missing);
  }

  /** Waits before try number `attempt` (1 is the first repetition). Errors: `cancelled`, `deadline`. */
  async pause(attempt: number, signal: AbortSignal | undefined, doing: string, leastMs = 0): Promise<void> {
    const ms = Math.max(leastMs, this.#retry.delayMs * 2 ** (attempt - 1) * (0.75 + Math.random() / 2));
    try {
      await delay(ms, undefined, signal && { signal });
    } catch (error) {
      if (signal?.aborted === true) throw cancelledBy(signal, doing);
      throw error;
    }
  }

  get attempts(): number {
    return this.#retry.attempts;
  }

  /** Repeats what failed in a way that time may cure. */
  async #persist(request: RegistryRequest, once: () => Promise<HttpResponse>): Promise<HttpResponse> {
    for (let attempt = 1; ; attempt++) {
      let leastMs = 0;
      try {
        const response = await once();
        const { status } = response;
        if (attempt >= this.#retry.attempts || !(status === 408 || status === 429 || status >= 500) || status === 501)
          return response;
        leastMs = retryAfterMs(response.header('retry-after'));
        response.discard();
      } catch (error) {
        if (attempt >= this.#retry.attempts || !(error instanceof ConnectionError && error.transient)) throw error;
      }
      await this.pause(attempt, request.signal, request.doing, leastMs);
    }
  }

  async #authorized(url: URL, request: RegistryRequest): Promise<HttpResponse> {
    const used = this.#tokens.get(request.scope);
    const token = used && (await unlessCancelled(used, request.signal, request.doing));
    const fresh = token !== undefined && token.expiresAtMs > performance.now() ? token : undefined;
    const response = await this.#follow(url, { ...request, headers: { ...request.headers, ...bearer(fresh) } });
    // Only the registry itself may ask for a token, not a host it sent us to.
    if (response.status !== 401 || response.url.origin !== this.#origin.origin) return response;
    const challenge = parseChallenges(response.header('www-authenticate') ?? '').find(
      ({ scheme }) => scheme === 'bearer',
    );
    if (challenge === undefined) return response;
    response.discard();
    // Several requests find out together that they need a token: one of them asks.
    let asked = this.#tokens.get(request.scope);
    if (asked === undefined || asked === used) {
      const mine = this.#token(tokenUrl(challenge, request.scope, this.#origin), request);
      mine.catch(() => this.#tokens.get(request.scope) === mine && this.#tokens.delete(request.scope));
      this.#tokens.set(request.scope, (asked = mine));
    }
    const given = await unlessCancelled(asked, request.signal, request.doing);
    return this.#follow(url, { ...request, headers: { ...request.headers, ...bearer(given) } });
  }

  async #token(url: URL, request: RegistryRequest): Promise<Token> {
    // Others wait for this token too: the signal of the one who happened to ask is left out.
    const plain: HttpRequest = { method: 'GET', headers: { accept: 'application/json' } };
    const response = await this.#persist({ ...request, signal: undefined }, () => this.#follow(url, plain));
    if (response.status !== 200) throw await errorOf(response, `get a token of ${url.host}`, undefined);
    return parseToken(await response.bytes(MAX_TOKEN_BYTES, `the token of ${url.host}`), performance.now());
  }

  /** Follows redirects by hand: no way back to plain http, and Authorization stays with the origin it was made for. */
  async #follow(
    start: URL,
    request: { method: 'GET' | 'HEAD'; headers: Readonly<Record<string, string>>; signal?: AbortSignal | undefined },
  ): Promise<HttpResponse> {
    let url = start;
    let headers: Record<string, string> = { ...this.#headers, ...request.headers };
    for (let redirects = 0; ; redirects++) {
      const response = await this.#exchange.send(url, { method: request.method, headers, signal: request.signal });
      if (![301, 302, 303, 307, 308].includes(response.status)) return response;
      response.discard();
      const refuse = (state: string): TareError =>
        new TareError('denied', `Cannot follow a redirect of ${url.host}: ${state}`);
      const location = response.header('location') ?? '';
      if (!URL.canParse(location, url)) throw refuse('it leads nowhere');
      const next = new URL(location, url);
      if (redirects >= MAX_REDIRECTS) throw refuse(`there are more than ${MAX_REDIRECTS}`);
      const plain = next.protocol === 'http:' && url.protocol === 'http:' && isLoopback(next.hostname);
      if (next.protocol !== 'https:' && !plain)
        throw refuse(`it leads to ${next.protocol}//${next.host}, which is not https`);
      if (next.username !== '' || next.password !== '') throw refuse('its address has a user name in it');
      if (next.origin !== url.origin) {
        const { authorization: _, ...others } = headers;
        headers = others;
      }
      url = next;
    }
  }
}

function bearer(token: Token | undefined): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token.value}` };
}

/** `Retry-After` in seconds or as a date; at most a minute. */
function retryAfterMs(header: string | undefined): number {
  if (header === undefined) return 0;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS) : 0;
}

/** The RegistryError in an answer of status 400 or more (distribution-spec, "Error Codes"). */
async function errorOf(response: HttpResponse, doing: string, missing: RegistryCode | undefined): Promise<TareError> {
  let code = response.status === 404 ? missing : codeOfStatus(response.status);
  let said = '';
  try {
    const text = new TextDecoder().decode(await response.bytes(MAX_ERROR_BYTES, 'the error'));
    const { errors } = JSON.parse(text) as { errors?: unknown };
    const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
    if (typeof first === 'object' && first !== null) {
      if ('code' in first && typeof first.code === 'string' && isRegistryCode(first.code))
        ({ code } = first as { code: RegistryCode });
      if ('message' in first && typeof first.message === 'string') said = printable(first.message);
    }
  } catch {
    // The status alone has to do.
  }
  const host = response.url.host;
  const states: Partial<Record<RegistryCode, string>> = {
    MANIFEST_UNKNOWN: `${host} does not have it`,
    NAME_UNKNOWN: `${host} does not have this repository`,
    BLOB_UNKNOWN: `${host} does not have this blob`,
    UNAUTHORIZED: `${host} wants a login, or does not have this repository`,
    DENIED: `${host} does not allow it`,
    TOOMANYREQUESTS: `${host} takes no more requests now`,
  };
  const state = (code && states[code]) ?? `${host} answered ${response.status}`;
  return new RegistryError(response.status, code, `Cannot ${doing}: ${state}${said === '' ? '' : ` (${said})`}`);
}

function codeOfStatus(status: number): RegistryCode | undefined {
  if (status === 401) return 'UNAUTHORIZED';
  if (status === 403) return 'DENIED';
  if (status === 416) return 'RANGE_INVALID';
  return status === 429 ? 'TOOMANYREQUESTS' : undefined;
}

/** Another host's words, fit for a terminal: one line, no control or direction characters, not long. */
function printable(text: string): string {
  return text
    .slice(0, 200)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim();
}
