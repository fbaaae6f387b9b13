import { TareError } from '../base/errors.ts';
import { unlessCancelled } from './_cancel.ts';
import { ConnectionError } from './_connection-error.ts';
import { Exchange, type ExchangeOptions } from './_exchange.ts';
import { RegistryFetch, type RegistryFetchOptions, type RegistryRequest } from './_fetch.ts';
import { isLoopback } from './_loopback.ts';
import type { HttpResponse } from './_response.ts';

export interface ConnectionOptions extends Omit<ExchangeOptions, 'hostname'>, Omit<RegistryFetchOptions, 'origin'> {
  /** Host and port as in a URL. */
  readonly host: string;
}

/** One registry's way over the network: finds its origin with the first request. Disposing closes its connections. */
export class RegistryConnection implements Disposable {
  readonly #options: ConnectionOptions;
  readonly #exchange: Exchange;
  #fetch: Promise<RegistryFetch> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#exchange = new Exchange({ ...options, hostname: new URL(`https://${options.host}`).hostname });
  }

  get host(): string {
    return this.#options.host;
  }

  /** Errors: ConnectionError, `cancelled`, `deadline`. */
  async fetch(signal: AbortSignal | undefined, doing: string): Promise<RegistryFetch> {
    let connecting = this.#fetch;
    if (connecting === undefined) {
      const mine = this.#connect();
      mine.catch(() => this.#fetch === mine && (this.#fetch = undefined));
      this.#fetch = connecting = mine;
    }
    return unlessCancelled(connecting, signal, doing);
  }

  /** The answer to a request for `/v2/PATH`, or for an address that the registry gave. Errors: as RegistryFetch; `invalid` for a status that is none of `expected`. */
  async send(path: string | URL, request: RegistryRequest, ...expected: number[]): Promise<HttpResponse> {
    const fetch = await this.fetch(request.signal, request.doing);
    const url = typeof path === 'string' ? new URL(`/v2/${path}`, fetch.origin) : path;
    const response = await fetch.send(url, request);
    const encoding = response.header('content-encoding') ?? 'identity';
    if (encoding === 'identity' && expected.includes(response.status)) return response;
    response.discard();
    const state = encoding === 'identity' ? `answered ${response.status}` : 'encoded it, which was not asked for';
    throw new TareError('invalid', `Cannot ${request.doing}: ${response.url.host} ${state}`);
  }

  /**
   * Finds the origin: https, or on this machine what the port speaks. Plain http is tried first there, with nothing secret in it: that spares loading the machine's
   * certificates, and a server that speaks TLS answers it with 400 or a broken connection. Elsewhere plain http comes second, and only by the user's word.
   */
  async #connect(): Promise<RegistryFetch> {
    const { host, insecure } = this.#options;
    const secure = new URL(`https://${host}/`);
    const plain = new URL(`http://${host}/`);
    const made = (origin: URL): RegistryFetch => new RegistryFetch(this.#exchange, { ...this.#options, origin });
    if (isLoopback(secure.hostname)) return made((await this.#speaksPlainHttp(plain)) ? plain : secure);
    return made(insecure && !(await this.#speaksTls(secure)) ? plain : secure);
  }

  async #speaksPlainHttp(origin: URL): Promise<boolean> {
    try {
      return (await this.#ping(origin)).status !== 400;
    } catch (error) {
      if (error instanceof ConnectionError && error.garbled) return false;
      throw error;
    }
  }

  async #speaksTls(origin: URL): Promise<boolean> {
    try {
      await this.#ping(origin);
      return true;
    } catch (error) {
      if (error instanceof ConnectionError && error.kind === 'unavailable') return false;
      throw error;
    }
  }

  async #ping(origin: URL): Promise<HttpResponse> {
    const headers = { 'user-agent': this.#options.userAgent };
    const response = await this.#exchange.send(new URL('/v2/', origin), { method: 'GET', headers });
    response.discard();
    return response;
  }

  [Symbol.dispose](): void {
    this.#exchange[Symbol.dispose]();
  }
}
