/** Sending blobs (distribution-spec, "Pushing Blobs"): a session is begun with POST, its address comes from each answer's Location. */
import { TareError, isKind } from '../base/errors.ts';
import { isDigest, type Digest, type RepositoryPath } from '../spec/mod.ts';
import { ConnectionError } from './_connection-error.ts';
import type { RegistryConnection } from './_connection.ts';
import { isPassing, type RegistryRequest } from './_fetch.ts';
import { targetOf } from './_follow.ts';
import type { RequestBody } from './_request-body.ts';
import type { HttpResponse } from './_response.ts';
import type { Scope } from './_scope.ts';
import { RegistryError } from './error.ts';
import type { BlobIdentity } from './registry.ts';

/** So much progress forgives earlier breaks of an upload's connection. */
const PROGRESS_BYTES = 1024 * 1024;
/** What giving up a session on the registry may cost us. */
const CANCEL_MS = 2000;
const octets = { 'content-type': 'application/octet-stream' };

/** An upload on its way. */
interface Session {
  /** Where the next request goes. May be another host's: credentials stay home then. */
  readonly location: URL;
  /** The first byte the registry does not have. */
  readonly offset: number;
}

/** Uploads into one repository. */
export class Upload {
  readonly #connection: RegistryConnection;
  readonly #repository: RepositoryPath;
  readonly #signal: AbortSignal | undefined;

  constructor(connection: RegistryConnection, repository: RepositoryPath, signal: AbortSignal | undefined) {
    this.#connection = connection;
    this.#repository = repository;
    this.#signal = signal;
  }

  /** See RegistryWriter. */
  async mount(digest: Digest, from: RepositoryPath): Promise<boolean> {
    const doing = `use blob ${digest} of ${from} in ${this.#repository}`;
    const scopes: Scope[] = [
      { repository: this.#repository, actions: 'pull,push' },
      { repository: from, actions: 'pull' },
    ];
    const path = `${this.#repository}/blobs/uploads/?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(from)}`;
    let response: HttpResponse;
    try {
      response = await this.#connection.send(path, { ...this.#request('POST', doing), scopes }, 201, 202);
    } catch (error) {
      // Who may not read there sends it; who may not write here learns so then.
      if (error instanceof RegistryError && ['denied', 'not-found', 'unsupported'].includes(error.kind)) return false;
      throw error;
    }
    response.discard();
    if (response.status === 201) return true;
    // The registry has begun an upload instead.
    const { insecure } = await this.#connection.fetch(this.#signal, doing);
    await this.#cancel({ location: targetOf(response, doing, { insecure }), offset: 0 });
    return false;
  }

  /** See RegistryWriter. One request carries all bytes; after a break, what the registry has is not sent again where it says so. */
  async put(blob: BlobIdentity, open: (offset: number) => AsyncIterable<Uint8Array>): Promise<void> {
    const doing = `send blob ${blob.digest}`;
    const fetch = await this.#connection.fetch(this.#signal, doing);
    let session: Session | undefined;
    let furthest = 0;
    for (let failures = 0; ;) {
      let leastMs = 0;
      try {
        session ??= await this.#begin(doing);
        return await this.#finish(session, blob, open, doing);
      } catch (error) {
        // A registry that lost bytes of a broken upload finds out at its end: all of it again may help.
        const spoilt = session !== undefined && session.offset > 0 && isKind(error, 'invalid');
        if (!(spoilt || canGoOn(error)) || ++failures >= fetch.attempts) {
          if (session !== undefined) await this.#cancel(session);
          throw error;
        }
        if (spoilt) session = undefined;
        leastMs = error instanceof RegistryError ? error.retryAfterMs : 0;
      }
      await fetch.pause(failures, this.#signal, doing, leastMs);
      session &&= await this.#resume(session, blob);
      if (session === undefined && (await this.#isThere(blob))) return;
      const offset = session?.offset ?? 0;
      if (offset - furthest >= PROGRESS_BYTES) failures = 0;
      furthest = Math.max(furthest, offset);
    }
  }

  /** See RegistryWriter: the bytes go into the session as they come, then the digest closes it. */
  async stream(body: AsyncIterable<Uint8Array>, finish: () => BlobIdentity): Promise<void> {
    const doing = `send a blob to ${this.#connection.host}/${this.#repository}`;
    const counted = new CountedBody(body, doing);
    const fetch = await this.#connection.fetch(this.#signal, doing);
    let session = await this.#begin(doing);
    try {
      for (let failures = 1; ; failures++) {
        try {
          session = await this.#append(session, counted, doing);
          break;
        } catch (error) {
          if (counted.isOpen || failures >= fetch.attempts || !canGoOn(error)) throw error;
        }
        await fetch.pause(failures, this.#signal, doing);
        session = await this.#begin(doing);
      }
      const blob = finish();
      if (blob.sizeBytes !== counted.bytes)
        throw new TareError('invalid', `Cannot ${doing}: it has ${counted.bytes} bytes, not ${blob.sizeBytes}`);
      await this.#close(session, blob, doing);
    } catch (error) {
      await this.#cancel(session);
      throw error;
    }
  }

  async #begin(doing: string): Promise<Session> {
    const path = `${this.#repository}/blobs/uploads/`;
    const response = await this.#connection.send(path, this.#request('POST', doing), 202);
    response.discard();
    return { location: await this.#locationOf(response, doing), offset: 0 };
  }

  /** PUT with all that is missing. */
  async #finish(
    { location, offset }: Session,
    { digest, sizeBytes }: BlobIdentity,
    open: (offset: number) => AsyncIterable<Uint8Array>,
    doing: string,
  ): Promise<void> {
    const request: RegistryRequest = {
      ...this.#request('PUT', doing),
      headers: { ...octets, ...(offset > 0 && { 'content-range': `${offset}-${sizeBytes - 1}` }) },
      body: { sizeBytes: sizeBytes - offset, open: () => open(offset) },
      once: true,
    };
    confirmed(await this.#connection.send(withDigest(location, digest), request, 201, 204), digest, doing);
  }

  /** PATCH with a body without a known end. */
  async #append({ location }: Session, body: CountedBody, doing: string): Promise<Session> {
    const request = { ...this.#request('PATCH', doing), headers: octets, body, once: true };
    const response = await this.#connection.send(location, request, 202, 204);
    response.discard();
    const has = nextByte(response);
    if (!body.isRead || (has !== undefined && has !== body.bytes))
      throw new TareError(
        'invalid',
        `Cannot ${doing}: the registry has ${has ?? 'not all'} of its ${body.bytes} bytes`,
      );
    return { location: await this.#locationOf(response, doing), offset: body.bytes };
  }

  /** PUT without a body. Repeated, because the bytes are there already. */
  async #close(session: Session, blob: BlobIdentity, doing: string): Promise<void> {
    try {
      const request = { ...this.#request('PUT', doing), headers: octets };
      confirmed(
        await this.#connection.send(withDigest(session.location, blob.digest), request, 201, 204),
        blob.digest,
        doing,
      );
    } catch (error) {
      // The answer of an earlier try got lost.
      if (error instanceof RegistryError && error.status === 404 && (await this.#isThere(blob))) return;
      throw error;
    }
  }

  /** What the registry has of a session; undefined when it has to begin anew. */
  async #resume({ location }: Session, { sizeBytes }: BlobIdentity): Promise<Session | undefined> {
    const doing = 'go on with an upload';
    try {
      const response = await this.#connection.send(location, this.#request('GET', doing), 204, 202);
      response.discard();
      const offset = nextByte(response);
      if (offset === undefined || offset > sizeBytes) return undefined;
      const moved = response.header('location') !== undefined;
      return { location: moved ? await this.#locationOf(response, doing) : location, offset };
    } catch (error) {
      // A registry that cannot tell gets all of it again.
      if (error instanceof RegistryError || isKind(error, 'invalid')) return undefined;
      throw error;
    }
  }

  async #isThere({ digest, sizeBytes }: BlobIdentity): Promise<boolean> {
    const request = { ...this.#request('HEAD', `look for blob ${digest}`), missing: 'BLOB_UNKNOWN' as const };
    try {
      const response = await this.#connection.send(`${this.#repository}/blobs/${digest}`, request, 200);
      response.discard();
      return Number(response.header('content-length') ?? sizeBytes) === sizeBytes;
    } catch (error) {
      if (error instanceof RegistryError) return false;
      throw error;
    }
  }

  /** Lets the registry forget what it has of a session. Its failure is none of ours, and our cancellation does not stop it. */
  async #cancel({ location }: Session): Promise<void> {
    const request = this.#request('DELETE', 'give up an upload');
    try {
      const signal = AbortSignal.timeout(CANCEL_MS);
      (await this.#connection.send(location, { ...request, signal, once: true }, 204, 202, 200)).discard();
    } catch {
      // The registry forgets it by itself.
    }
  }

  async #locationOf(response: HttpResponse, doing: string): Promise<URL> {
    const { insecure } = await this.#connection.fetch(this.#signal, doing);
    return targetOf(response, doing, { insecure });
  }

  #request(method: RegistryRequest['method'], doing: string): RegistryRequest {
    const scopes: Scope[] = [{ repository: this.#repository, actions: 'pull,push' }];
    return { method, scopes, signal: this.#signal, doing, missing: 'BLOB_UPLOAD_UNKNOWN' };
  }
}

/** A body that can be begun once, with the number of bytes that were taken of it. */
class CountedBody implements RequestBody {
  readonly sizeBytes = undefined;
  readonly #body: AsyncIterable<Uint8Array>;
  readonly #doing: string;
  isOpen = false;
  isRead = false;
  bytes = 0;

  constructor(body: AsyncIterable<Uint8Array>, doing: string) {
    this.#body = body;
    this.#doing = doing;
  }

  async *open(): AsyncGenerator<Uint8Array> {
    if (this.isOpen)
      throw new TareError('unavailable', `Cannot ${this.#doing}: the registry wants it again from the start`);
    this.isOpen = true;
    for await (const chunk of this.#body) {
      if (chunk.byteLength === 0) continue;
      this.bytes += chunk.byteLength;
      yield chunk;
    }
    this.isRead = true;
  }
}

/** True for what another try, from where the registry is, may cure. */
function canGoOn(error: unknown): boolean {
  if (error instanceof ConnectionError) return error.transient;
  if (!(error instanceof RegistryError)) return false;
  return isPassing(error.status) || error.status === 416 || error.code === 'BLOB_UPLOAD_UNKNOWN';
}

/** The address with `digest` added to what its query carries. */
function withDigest(location: URL, digest: Digest): URL {
  const url = new URL(location);
  // Not searchParams: it would write the registry's own state in another way.
  url.search = `${url.search === '' ? '?' : `${url.search}&`}digest=${encodeURIComponent(digest)}`;
  return url;
}

/** The first byte that a session has not, from `Range: 0-LAST`; undefined where that is not said. Many say `0-0` when they have nothing. */
function nextByte(response: HttpResponse): number | undefined {
  const range = /^(?:bytes=)?0-(\d{1,15})$/.exec(response.header('range') ?? '');
  return range === null || range[1] === '0' ? undefined : Number(range[1]) + 1;
}

function confirmed(response: HttpResponse, digest: Digest, doing: string): void {
  response.discard();
  const stored = response.header('docker-content-digest') ?? '';
  if (isDigest(stored) && stored.slice(0, 6) === digest.slice(0, 6) && stored !== digest)
    throw new TareError('invalid', `Cannot ${doing}: ${response.url.host} stored ${stored}`);
}
