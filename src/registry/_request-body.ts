/** What a request carries, and how it gets into a socket. */
import type { ClientRequest } from 'node:http';
import { TareError } from '../base/errors.ts';
import type { Deadline } from './_deadline.ts';

export interface RequestBody {
  /** Exactly; undefined when only its end will tell. */
  readonly sizeBytes: number | undefined;
  /** Begins it, again with every call: a request may be sent again with a token, or elsewhere. */
  open(): AsyncIterable<Uint8Array>;
}

/** A body that is all here. */
export function bodyOf(bytes: Uint8Array): RequestBody {
  return {
    sizeBytes: bytes.byteLength,
    async *open() {
      yield bytes;
    },
  };
}

/** Headers for `body`. From 1 MiB on, the other side is asked whether it will take it (RFC 9110, 10.1.1): a refusal or redirect then costs nothing. */
export function bodyHeaders(body: RequestBody | undefined, mayExpect: boolean): Record<string, string> {
  if (body === undefined) return {};
  return {
    ...(body.sizeBytes === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': `${body.sizeBytes}` }),
    ...(mayExpect && (body.sizeBytes ?? Infinity) >= 1024 * 1024 && { expect: '100-continue' }),
  };
}

/**
 * Writes `body` and ends `outgoing`, no faster than it is taken. `answered` ends it early: the other side has said what it has to say. The limit of `timer` runs only while
 * we wait for the other side.
 *
 * Errors: what `body` throws; `invalid` when it has not the size it was said to have.
 */
export async function writeBody(
  outgoing: ClientRequest,
  body: RequestBody,
  how: { readonly answered: AbortSignal; readonly timer: Deadline; readonly idleTimeoutMs: number },
): Promise<void> {
  const { answered, timer } = how;
  const chunks = body.open()[Symbol.asyncIterator]();
  let wake = (): void => {};
  answered.addEventListener('abort', () => wake(), { once: true });
  // Not Promise.race with one promise for all chunks: that would keep something of each chunk until the end.
  const unlessAnswered = <T>(promise: Promise<T>): Promise<T | undefined> =>
    new Promise((resolve, reject) => {
      wake = () => resolve(undefined);
      promise.then(resolve, reject);
    });
  let sent = 0;
  let ended = false;
  try {
    for (;;) {
      timer.stop();
      const next = answered.aborted ? undefined : await unlessAnswered(chunks.next());
      if (next === undefined || answered.aborted) return;
      if (next.done === true) {
        ended = true;
        break;
      }
      sent += next.value.byteLength;
      if (body.sizeBytes !== undefined && sent > body.sizeBytes)
        throw wrongSize(`it goes on after its ${body.sizeBytes} bytes`);
      if (outgoing.write(next.value)) continue;
      timer.start(how.idleTimeoutMs, 'it stopped reading');
      await unlessAnswered(drained(outgoing));
      // The error of a broken connection reaches whoever waits for the answer.
      if (outgoing.destroyed) return;
    }
  } finally {
    // Not waited for: a source that hangs must not hold up who reads the answer.
    if (!ended) void chunks.return?.().catch(() => {});
  }
  if (body.sizeBytes !== undefined && sent < body.sizeBytes)
    throw wrongSize(`it ends after ${sent} of its ${body.sizeBytes} bytes`);
  outgoing.end();
}

function drained(outgoing: ClientRequest): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = (): void => {
    outgoing.off('drain', done).off('close', done);
    resolve();
  };
  outgoing.on('drain', done).on('close', done);
  if (outgoing.destroyed) done();
  return promise;
}

function wrongSize(state: string): TareError {
  return new TareError('invalid', `Cannot send the content: ${state}`);
}
