/** One HTTP request and its answer: the only file that knows Node's http. No redirects, no retries, no credentials of its own. */
import * as http from 'node:http';
import * as https from 'node:https';
import * as tls from 'node:tls';
import { TareError } from '../base/errors.ts';
import { cancelledBy, throwIfCancelled } from './_cancel.ts';
import { ConnectionError, Timeout } from './_connection-error.ts';
import { Deadline } from './_deadline.ts';
import { isLoopback } from './_loopback.ts';
import { bodyHeaders, writeBody, type RequestBody } from './_request-body.ts';
import { responseOf, type HttpResponse } from './_response.ts';

/** A certificate that shows who we are, and its key, both PEM. */
export interface ClientCertificate {
  readonly certificate: string;
  readonly key: string;
}

export interface ExchangeOptions {
  /** PEM certificates trusted besides the machine's own. */
  readonly ca: readonly string[];
  /** The host that the next two are for, without port: no other host gets them. */
  readonly hostname: string;
  readonly clientCertificates: readonly ClientCertificate[];
  /** False: any certificate of this host will do. */
  readonly verify: boolean;
  /** `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, as in an environment. Loopback hosts are never asked through a proxy. */
  readonly proxyEnv: Readonly<Record<string, string>>;
  /** To connect, TLS included. */
  readonly connectTimeoutMs: number;
  /** Without a byte from the other side while one is waited for. */
  readonly idleTimeoutMs: number;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How much longer than idle a registry may be silent when it has to put away what was sent. */
const COMMIT_PATIENCE = 5;
/** How long a server may take to say whether it wants a body; many never do. */
const CONTINUE_MS = 1000;

/** Keeps connections open between requests. Disposing closes them all. */
export class Exchange implements Disposable {
  readonly #options: ExchangeOptions;
  readonly #agents = new Map<string, http.Agent | https.Agent>();

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** Sends a request. Resolves when the answer's head is here. Errors: ConnectionError, `cancelled`, `deadline`; what the body throws. */
  async send(url: URL, request: HttpRequest): Promise<HttpResponse> {
    const response = await this.#send(url, request, true);
    if (response.status !== 417 || request.body === undefined) return response;
    // It does not know the question whether it will take the body (RFC 9110, 10.1.1).
    response.discard();
    return this.#send(url, request, false);
  }

  #send(url: URL, request: HttpRequest, mayExpect: boolean): Promise<HttpResponse> {
    const { signal, body } = request;
    const { idleTimeoutMs, connectTimeoutMs } = this.#options;
    const doing = `reach ${url.host}`;
    throwIfCancelled(signal, doing);
    const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
    const outgoing = (url.protocol === 'https:' ? https : http).request(url, {
      method: request.method,
      headers: { ...request.headers, ...bodyHeaders(body, mayExpect), 'accept-encoding': 'identity' },
      agent: this.#agent(url),
    });
    const answerTimeoutMs = ['GET', 'HEAD'].includes(request.method) ? idleTimeoutMs : idleTimeoutMs * COMMIT_PATIENCE;
    const onAbort = (): void => void outgoing.destroy(new Error('cancelled'));
    signal?.addEventListener('abort', onAbort, { once: true });
    const translate = (error: unknown): TareError =>
      signal?.aborted === true
        ? cancelledBy(signal, doing)
        : error instanceof TareError
          ? error
          : new ConnectionError(url.host, error);
    const timer = new Deadline((state) => outgoing.destroy(new Timeout(state)));
    const answered = new AbortController();

    const begin = async (): Promise<void> => {
      if (body !== undefined) await writeBody(outgoing, body, { answered: answered.signal, timer, idleTimeoutMs });
      if (!answered.signal.aborted) timer.start(answerTimeoutMs, 'it does not answer');
    };
    let begun = false;
    const beginOnce = (): void => {
      if (begun || answered.signal.aborted) return;
      begun = true;
      begin().catch((error: unknown) => {
        reject(error);
        outgoing.destroy();
      });
    };
    const onConnected = (): void => {
      if (!outgoing.hasHeader('expect')) return beginOnce();
      timer.start(idleTimeoutMs, 'it does not answer');
      const waiting = setTimeout(beginOnce, CONTINUE_MS);
      outgoing.once('close', () => clearTimeout(waiting));
    };
    outgoing.on('socket', (socket) => {
      if (!socket.connecting) return onConnected();
      timer.start(connectTimeoutMs, 'it took too long to connect');
      socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', onConnected);
    });
    outgoing.on('continue', beginOnce);
    outgoing.on('close', () => {
      timer.stop();
      answered.abort();
      signal?.removeEventListener('abort', onAbort);
    });
    outgoing.on('error', (error) => reject(translate(error)));
    outgoing.on('response', (incoming) => {
      answered.abort();
      timer.stop();
      // Errors of the body reach whoever reads it; this keeps one that nobody reads from ending the process.
      incoming.on('error', () => {});
      // What was not sent in full leaves the connection unusable.
      if (!outgoing.writableEnded) incoming.on('end', () => outgoing.destroy());
      resolve(responseOf(url, incoming, idleTimeoutMs, translate));
    });
    if (body === undefined) outgoing.end();
    return promise;
  }

  #agent(url: URL): http.Agent | https.Agent {
    const direct = isLoopback(url.hostname);
    const own = url.hostname === this.#options.hostname;
    const key = `${url.protocol}${direct ? 'direct' : 'proxied'}${own ? 'own' : 'other'}`;
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      const common = { keepAlive: true, ...(direct ? {} : { proxyEnv: { ...this.#options.proxyEnv } }) };
      agent =
        url.protocol === 'https:'
          ? new https.Agent({ ...common, ca: trusted(this.#options.ca), ...(own && this.#ownTls()) })
          : new http.Agent(common);
      this.#agents.set(key, agent);
    }
    return agent;
  }

  #ownTls(): https.AgentOptions {
    const { clientCertificates, verify } = this.#options;
    return {
      rejectUnauthorized: verify,
      ...(clientCertificates.length > 0 && {
        cert: clientCertificates.map(({ certificate }) => certificate),
        key: clientCertificates.map(({ key }) => key),
      }),
    };
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }
}

/** The machine's certificate authorities, as every other program on it trusts them, and our own list where it has none. */
function trusted(own: readonly string[]): string[] {
  const system = tls.getCACertificates('system');
  return [...(system.length > 0 ? system : tls.getCACertificates('bundled')), ...own];
}
