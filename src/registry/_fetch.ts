/** Requests to one registry: redirects, credentials and repeated tries. What belongs to the registry's origin never goes to another. */
import { sleep } from '../base/clock.ts';
import { Authorizer, lacksScope, type Grant } from './_authorize.ts';
import { cancelledBy } from './_cancel.ts';
import { ConnectionError } from './_connection-error.ts';
import { errorOf, retryAfterMs } from './_error-of.ts';
import type { Exchange, HttpRequest } from './_exchange.ts';
import { follow } from './_follow.ts';
import type { RequestBody } from './_request-body.ts';
import type { HttpResponse } from './_response.ts';
import type { Scope } from './_scope.ts';
import type { CredentialsFor } from './credentials.ts';
import type { RegistryCode } from './error.ts';

export interface RetryOptions {
  /** How often a request is made at most. */
  readonly attempts: number;
  /** The wait before the second try; it doubles each time. */
  readonly delayMs: number;
}

export interface RegistryRequest {
  readonly method: HttpRequest['method'];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: RequestBody;
  /** What a token is asked for. */
  readonly scopes: readonly Scope[];
  readonly signal?: AbortSignal | undefined;
  /** What is done, for messages: `read image x`. */
  readonly doing: string;
  /** What a 404 means that says no more, as an answer to HEAD. */
  readonly missing: RegistryCode;
  /** The caller repeats it, in a way of its own. */
  readonly once?: boolean;
}

export interface RegistryFetchOptions {
  readonly origin: URL;
  /** The registry's name in references. */
  readonly domain: string;
  readonly retry: RetryOptions;
  readonly userAgent: string;
  readonly credentials: CredentialsFor | undefined;
  /** The user agreed to plain http. */
  readonly insecure: boolean;
}

/** The registry at one origin. */
export class RegistryFetch {
  readonly #exchange: Exchange;
  readonly #options: RegistryFetchOptions;
  readonly #authorizer: Authorizer;

  constructor(exchange: Exchange, options: RegistryFetchOptions) {
    this.#exchange = exchange;
    this.#options = options;
    const ask = (url: URL, request: HttpRequest): Promise<HttpResponse> =>
      // Others wait for this token too: there is no signal of one of them here.
      this.#persist({ signal: undefined, doing: `get a token of ${url.host}` }, () =>
        this.#follow(url, request, request.method === 'POST'),
      );
    this.#authorizer = new Authorizer({ ...options, ask });
  }

  get origin(): URL {
    return this.#options.origin;
  }

  get insecure(): boolean {
    return this.#options.insecure;
  }

  get attempts(): number {
    return this.#options.retry.attempts;
  }

  /** An answer with a status below 400. Errors: RegistryError, ConnectionError, `cancelled`, `deadline`. */
  async send(url: URL, request: RegistryRequest): Promise<HttpResponse> {
    const once = (): Promise<HttpResponse> => this.#authorized(url, request);
    const response = await (request.once === true ? once() : this.#persist(request, once));
    if (response.status < 400) return response;
    throw await errorOf(response, request.doing, request.missing);
  }

  /** Waits before try number `attempt` (1 is the first repetition). Errors: `cancelled`, `deadline`. */
  async pause(attempt: number, signal: AbortSignal | undefined, doing: string, leastMs = 0): Promise<void> {
    const ms = Math.max(leastMs, this.#options.retry.delayMs * 2 ** (attempt - 1) * (0.75 + Math.random() / 2));
    try {
      await sleep(ms, signal);
    } catch (error) {
      if (signal?.aborted === true) throw cancelledBy(signal, doing);
      throw error;
    }
  }

  /** Repeats what failed in a way that time may cure. */
  async #persist(
    request: { readonly signal?: AbortSignal | undefined; readonly doing: string },
    once: () => Promise<HttpResponse>,
  ): Promise<HttpResponse> {
    for (let attempt = 1; ; attempt++) {
      let leastMs = 0;
      try {
        const response = await once();
        if (attempt >= this.attempts || !isPassing(response.status)) return response;
        leastMs = retryAfterMs(response);
        response.discard();
      } catch (error) {
        if (attempt >= this.attempts || !(error instanceof ConnectionError && error.transient)) throw error;
      }
      await this.pause(attempt, request.signal, request.doing, leastMs);
    }
  }

  async #authorized(url: URL, request: RegistryRequest): Promise<HttpResponse> {
    const { scopes, signal, doing } = request;
    const { origin } = this.origin;
    // An address that the registry gave us, for an upload, may be another host's.
    const own = url.origin === origin;
    let grant = own ? await this.#authorizer.known(scopes, signal, doing) : undefined;
    const send = (): Promise<HttpResponse> => {
      const authorization = grant && { authorization: grant.authorization };
      return this.#follow(url, { ...request, headers: { ...request.headers, ...authorization } });
    };
    let response = await send();
    // One grant, and one more where the registry says that the first was for too little.
    for (let widened = false, granted = false; ;) {
      const refused = response.status === 401 || response.status === 403;
      // Only the registry itself may ask for credentials, not a host it sent us to.
      if (!refused || !own || response.url.origin !== origin) return response;
      const lacking = lacksScope(response);
      if (lacking ? widened : granted) return this.#refused(response, grant);
      const next = await this.#authorizer.answer(response, scopes, grant, { signal, doing });
      if (next === undefined) return response;
      response.discard();
      [grant, granted, widened] = [next, true, lacking];
      response = await send();
    }
  }

  /** What a refusal means that even a grant did not change. */
  #refused(response: HttpResponse, grant: Grant | undefined): HttpResponse {
    if (response.status !== 401 || grant?.authorization.startsWith('Basic ') !== true) return response;
    response.discard();
    throw this.#authorizer.wrong();
  }

  #follow(url: URL, request: HttpRequest, sameOrigin = false): Promise<HttpResponse> {
    const headers = { 'user-agent': this.#options.userAgent, ...request.headers };
    const { method, body, signal } = request;
    return follow(this.#exchange, url, { method, headers, body, signal }, { insecure: this.insecure, sameOrigin });
  }
}

/** True for answers that another try may change. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501);
}
