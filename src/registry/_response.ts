import type { IncomingMessage } from 'node:http';
import type { TareError } from '../base/errors.ts';
import { Timeout } from './_connection-error.ts';
import { Deadline } from './_deadline.ts';
import { collect } from './verified.ts';

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

/** The answer that begins with `incoming`. */
export function responseOf(
  url: URL,
  incoming: IncomingMessage,
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
      const bodiless = incoming.statusCode === 204 || incoming.statusCode === 304;
      const length = bodiless ? 0 : Number(header('content-length') ?? Infinity);
      if (length <= 65536) incoming.resume();
      else incoming.destroy();
    },
  };
}

/** The body with an idle limit that runs only while we wait for the other side, not while our own disk is slow. */
async function* readBody(
  incoming: IncomingMessage,
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

/** Content-Length, where there is a sound one. */
export function contentLength(response: HttpResponse): number | undefined {
  const text = response.header('content-length');
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
