/** One HTTP request and its answer: the only file that knows Node's http. No redirects, no retries, no credentials of its own. */
import * as http from 'node:http';
import * as https from 'node:https';
import * as tls from 'node:tls';
import { TareError, messageOf } from '../base/errors.ts';
import { cancelledBy, throwIfCancelled } from './_cancel.ts';
import { collect } from './verified.ts';

export interface ExchangeOptions {
  /** PEM certificates trusted besides the machine's own. */
  readonly ca: readonly string[];
  /** `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, as in an environment. Loopback hosts are never asked through a proxy. */
  readonly proxyEnv: Readonly<Record<string, string>>;
  /** To connect, TLS included. */
  readonly connectTimeoutMs: number;
  /** Without a byte from the other side while one is waited for. */
  readonly idleTimeoutMs: number;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** An answer whose body is still on its way: read it or `discard` it. */
export interface HttpResponse {
  readonly url: URL;
  readonly status: number;
  /** A header by lower-case name; several are joined by commas. */
  header(name: string): string | undefined;
  readonly body: AsyncIterable<Uint8Array>;
  /** The whole body. Errors: `invalid` when longer. */
  bytes(maxBytes: number, what: string): Promise<Uint8Array>;
  /** Gives up the body; a short one is drained so that the connection can be used again. */
  discard(): void;
}

/** Errors of the network that another try may cure. */
const transientCodes = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN', 'ENETUNREACH', 'ECONNABORTED']);

/** A connection that failed. `transient` when another try may help; `garbled` when somebody is there but does not speak this protocol. */
export class ConnectionError extends TareError {
  readonly transient: boolean;
  readonly garbled: boolean;

  constructor(host: string, cause: unknown) {
    const code = codeOf(cause);
    const untrusted = /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(code);
    const state = untrusted
      ? `its certificate is not trusted (${messageOf(cause).split(';', 1)[0]})`
      : stateOf(code, cause);
    super(untrusted ? 'denied' : 'unavailable', `Cannot reach ${host}: ${state}`, { cause });
    this.transient = transientCodes.has(code) || code === 'timeout';
    this.garbled = code === 'ECONNRESET' || code === 'EPIPE' || code.startsWith('HPE_');
  }
}

class Timeout extends Error {
  readonly code = 'timeout';
}

function codeOf(error: unknown): string {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function stateOf(code: string, cause: unknown): string {
  if (code === 'ECONNREFUSED') return 'nothing listens there';
  if (code === 'ENOTFOUND') return 'there is no such host';
  if (code === 'EAI_AGAIN') return 'its name cannot be looked up now';
  if (code === 'ECONNRESET') return 'the connection broke';
  if (code === 'EPROTO' || code.startsWith('ERR_SSL')) return 'it does not speak TLS';
  return messageOf(cause) || code;
}

/** True for hosts that are this machine by definition: `localhost`, 127.0.0.0/8 and [::1]. */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(hostname) || hostname === '[::1]' || hostname === '::1'
  );
}

/** Keeps connections open between requests. Disposing closes them all. */
export class Exchange implements Disposable {
  readonly #options: ExchangeOptions;
  readonly #agents = new Map<string, http.Agent | https.Agent>();

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** Sends a request. Resolves when the answer's head is here. Errors: ConnectionError, `cancelled`, `deadline`. */
  send(url: URL, request: HttpRequest): Promise<HttpResponse> {
    const { signal } = request;
    const doing = `reach ${url.host}`;
    throwIfCancelled(signal, doing);
    const { promise, resolve, reject } = Promise.withResolvers<HttpResponse>();
    const outgoing = (url.protocol === 'https:' ? https : http).request(url, {
      method: request.method,
      headers: { ...request.headers, 'accept-encoding': 'identity' },
      agent: this.#agent(url),
    });
    const onAbort = (): void => void outgoing.destroy(new Error('cancelled'));
    signal?.addEventListener('abort', onAbort, { once: true });
    const translate = (error: unknown): TareError =>
      signal?.aborted === true
        ? cancelledBy(signal, doing)
        : error instanceof TareError
          ? error
          : new ConnectionError(url.host, error);
    const timer = new Deadline((state) => outgoing.destroy(new Timeout(state)));
    outgoing.on('socket', (socket) => {
      if (!socket.connecting) return timer.start(this.#options.idleTimeoutMs, 'it does not answer');
      timer.start(this.#options.connectTimeoutMs, 'it took too long to connect');
      socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () =>
        timer.start(this.#options.idleTimeoutMs, 'it does not answer'),
      );
    });
    outgoing.on('close', () => {
      timer.stop();
      signal?.removeEventListener('abort', onAbort);
    });
    outgoing.on('error', (error) => reject(translate(error)));
    outgoing.on('response', (incoming) => {
      timer.stop();
      // Errors of the body reach whoever reads it; this keeps one that nobody reads from ending the process.
      incoming.on('error', () => {});
      resolve(responseOf(url, incoming, this.#options.idleTimeoutMs, translate));
    });
    outgoing.end();
    return promise;
  }

  #agent(url: URL): http.Agent | https.Agent {
    const direct = isLoopback(url.hostname);
    const key = `${url.protocol}${direct ? 'direct' : 'proxied'}`;
    let agent = this.#agents.get(key);
    if (agent === undefined) {
      const common = { keepAlive: true, ...(direct ? {} : { proxyEnv: { ...this.#options.proxyEnv } }) };
      agent =
        url.protocol === 'https:'
          ? new https.Agent({ ...common, ca: trusted(this.#options.ca) })
          : new http.Agent(common);
      this.#agents.set(key, agent);
    }
    return agent;
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

function responseOf(
  url: URL,
  incoming: http.IncomingMessage,
  idleTimeoutMs: number,
  translate: (error: unknown) => TareError,
): HttpResponse {
  const body = readBody(incoming, idleTimeoutMs, translate);
  const header = (name: string): string | undefined => {
    const value = incoming.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  };
  return {
    url,
    status: incoming.statusCode ?? 0,
    header,
    body,
    bytes: (maxBytes, what) => collect(body, maxBytes, what),
    discard() {
      const length = Number(header('content-length') ?? Infinity);
      if (length <= 65536) incoming.resume();
      else incoming.destroy();
    },
  };
}

/** The body with an idle limit that runs only while we wait for the other side, not while our own disk is slow. */
async function* readBody(
  incoming: http.IncomingMessage,
  idleTimeoutMs: number,
  translate: (error: unknown) => TareError,
): AsyncGenerator<Uint8Array> {
  const timer = new Deadline((state) => incoming.destroy(new Timeout(state)));
  const chunks = incoming[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  try {
    for (;;) {
      timer.start(idleTimeoutMs, 'it stopped sending');
      let next: IteratorResult<Uint8Array>;
      try {
        next = await chunks.next();
      } catch (error) {
        throw translate(error);
      }
      timer.stop();
      if (next.done === true) {
        // A stream that is destroyed without an error ends like one that is complete.
        if (!incoming.complete)
          throw translate(Object.assign(new Error('the connection broke'), { code: 'ECONNRESET' }));
        return;
      }
      yield next.value;
    }
  } finally {
    timer.stop();
    if (!incoming.readableEnded) incoming.destroy();
  }
}

/** A time limit that is started and stopped often: one timer, re-armed. It does not keep the process alive by itself. */
class Deadline {
  readonly #expired: (state: string) => void;
  #timer: NodeJS.Timeout | undefined;
  #ms = 0;
  #state = '';
  #running = false;

  constructor(expired: (state: string) => void) {
    this.#expired = expired;
  }

  start(ms: number, state: string): void {
    this.#running = true;
    this.#state = state;
    if (this.#timer !== undefined && this.#ms === ms) {
      this.#timer.refresh();
      return;
    }
    clearTimeout(this.#timer);
    this.#ms = ms;
    this.#timer = setTimeout(() => this.#running && this.#expired(this.#state), ms).unref();
  }

  stop(): void {
    this.#running = false;
  }
}
