import { TareError } from '../base/errors.ts';
import {
  MANIFEST_MAX_BYTES,
  bareMediaType,
  isDigest,
  manifestTypes,
  parseTag,
  type Digest,
  type RepositoryPath,
  type Tag,
} from '../spec/mod.ts';
import { unlessCancelled } from './_cancel.ts';
import { ConnectionError, Exchange, isLoopback, type HttpResponse } from './_exchange.ts';
import { RegistryFetch, type RegistryRequest, type RetryOptions } from './_fetch.ts';
import { RegistryError, registryError } from './error.ts';
import type {
  BlobContent,
  BlobOptions,
  ContentInfo,
  ManifestContent,
  RegistryReader,
  RequestOptions,
} from './registry.ts';
import { digestOf, verifyBytes } from './verified.ts';

export interface RegistryClientOptions {
  /** PEM certificates trusted besides the machine's own. */
  readonly ca?: readonly string[];
  /** `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, as in an environment. */
  readonly proxyEnv?: Readonly<Record<string, string>>;
  readonly userAgent?: string;
  /** 30 seconds unless stated. */
  readonly connectTimeoutMs?: number;
  /** 60 seconds unless stated. */
  readonly idleTimeoutMs?: number;
  /** 4 attempts, half a second before the second, unless stated. */
  readonly retry?: Partial<RetryOptions>;
}

const MAX_TAG_PAGE_BYTES = 4 * 1024 * 1024;
const MAX_TAG_PAGES = 10_000;
/** So much progress forgives earlier breaks of a blob's connection. */
const PROGRESS_BYTES = 1024 * 1024;

/**
 * A registry over the network. TLS always, except that a registry on this machine (`localhost`, 127.0.0.0/8, ::1) is spoken to in plain http when it speaks no TLS.
 * Anonymous: a registry that hands out tokens to everybody is asked for one. A blob whose connection breaks goes on where it stopped.
 *
 * Errors: as RegistryReader; connections fail with `unavailable`, certificates and redirects with `denied`.
 */
export class RegistryClient implements RegistryReader, Disposable {
  readonly #host: string;
  readonly #exchange: Exchange;
  readonly #retry: RetryOptions;
  readonly #userAgent: string;
  #fetch: Promise<RegistryFetch> | undefined;

  /** `domain` is a Reference's. Connects to nothing yet. */
  constructor(domain: string, options: RegistryClientOptions = {}) {
    this.#host = domain === 'docker.io' ? 'registry-1.docker.io' : domain;
    const address = `https://${this.#host}`;
    if (!URL.canParse(address) || new URL(address).href !== `https://${new URL(address).host}/`) {
      throw new TareError('invalid', `Cannot use registry ${JSON.stringify(domain)}: it is not a host name`);
    }
    this.#exchange = new Exchange({
      ca: options.ca ?? [],
      proxyEnv: options.proxyEnv ?? {},
      connectTimeoutMs: options.connectTimeoutMs ?? 30_000,
      idleTimeoutMs: options.idleTimeoutMs ?? 60_000,
    });
    this.#retry = { attempts: 4, delayMs: 500, ...options.retry };
    this.#userAgent = options.userAgent ?? 'tare';
  }

  async getManifest(
    repository: RepositoryPath,
    reference: Tag | Digest,
    options: RequestOptions = {},
  ): Promise<ManifestContent> {
    const what = `manifest ${this.#name(repository, reference)}`;
    const response = await this.#send(
      `${repository}/manifests/${reference}`,
      manifestRequest('GET', repository, what, options),
    );
    const bytes = await response.bytes(MANIFEST_MAX_BYTES, what);
    const announced = response.header('docker-content-digest') ?? '';
    const digest = isDigest(reference) ? reference : isDigest(announced) ? announced : digestOf(bytes);
    verifyBytes(bytes, digest, what);
    return { bytes, digest, mediaType: mediaTypeOf(response) };
  }

  async headManifest(
    repository: RepositoryPath,
    reference: Tag | Digest,
    options: RequestOptions = {},
  ): Promise<ContentInfo> {
    const what = `manifest ${this.#name(repository, reference)}`;
    const response = await this.#send(
      `${repository}/manifests/${reference}`,
      manifestRequest('HEAD', repository, what, options),
    );
    response.discard();
    const announced = response.header('docker-content-digest') ?? '';
    const sizeBytes = lengthOf(response);
    if (isDigest(announced) && sizeBytes !== undefined && (!isDigest(reference) || reference === announced)) {
      return { mediaType: mediaTypeOf(response), digest: announced, sizeBytes };
    }
    const { bytes, mediaType, digest } = await this.getManifest(repository, reference, options);
    return { mediaType, digest, sizeBytes: bytes.byteLength };
  }

  async getBlob(repository: RepositoryPath, digest: Digest, options: BlobOptions = {}): Promise<BlobContent> {
    const offset = options.offset ?? 0;
    const open = (at: number): Promise<BlobContent> => this.#openBlob(repository, digest, at, options.signal);
    const first = await open(offset);
    return {
      sizeBytes: first.sizeBytes,
      body: this.#resuming(first, offset, open, `read blob ${digest}`, options.signal),
    };
  }

  async headBlob(repository: RepositoryPath, digest: Digest, options: RequestOptions = {}): Promise<ContentInfo> {
    const response = await this.#send(`${repository}/blobs/${digest}`, {
      method: 'HEAD',
      ...blobRequest(repository, digest, options.signal),
    });
    response.discard();
    const sizeBytes = lengthOf(response);
    if (sizeBytes === undefined)
      throw new TareError('invalid', `Cannot read blob ${digest}: ${this.#host} does not tell its size`);
    return { mediaType: mediaTypeOf(response), digest, sizeBytes };
  }

  async *tags(repository: RepositoryPath, options: RequestOptions = {}): AsyncGenerator<Tag> {
    const doing = `list the tags of ${this.#host}/${repository}`;
    let path: string | undefined = `${repository}/tags/list?n=1000`;
    const seen = new Set<string>();
    while (path !== undefined) {
      if (seen.has(path) || seen.size >= MAX_TAG_PAGES)
        throw new TareError('invalid', `Cannot ${doing}: the pages never end`);
      seen.add(path);
      const response = await this.#send(path, {
        method: 'GET',
        scope: pullScope(repository),
        signal: options.signal,
        doing,
        missing: 'NAME_UNKNOWN',
      });
      const text = new TextDecoder().decode(await response.bytes(MAX_TAG_PAGE_BYTES, `the tags of ${repository}`));
      for (const tag of tagsOf(text, doing)) yield tag;
      path = this.#nextPage(response, doing);
    }
  }

  [Symbol.dispose](): void {
    this.#exchange[Symbol.dispose]();
  }

  #name(repository: RepositoryPath, reference: Tag | Digest): string {
    return `${this.#host}/${repository}${isDigest(reference) ? '@' : ':'}${reference}`;
  }

  async #send(path: string, request: RegistryRequest): Promise<HttpResponse> {
    let connecting = this.#fetch;
    if (connecting === undefined) {
      const mine = this.#connect();
      mine.catch(() => this.#fetch === mine && (this.#fetch = undefined));
      this.#fetch = connecting = mine;
    }
    const fetch = await unlessCancelled(connecting, request.signal, request.doing);
    const response = await fetch.send(new URL(`/v2/${path}`, fetch.origin), request);
    const encoding = response.header('content-encoding') ?? 'identity';
    if (encoding === 'identity' && (response.status === 200 || response.status === 206)) return response;
    response.discard();
    const state = encoding === 'identity' ? `answered ${response.status}` : 'encoded it, which was not asked for';
    throw new TareError('invalid', `Cannot ${request.doing}: ${response.url.host} ${state}`);
  }

  /**
   * Finds the origin: https, or on this machine what the port speaks. Plain http is tried first there, with nothing secret in it: that spares loading the machine's
   * certificates, and a server that speaks TLS answers it with 400 or a broken connection.
   */
  async #connect(): Promise<RegistryFetch> {
    const secure = new URL(`https://${this.#host}/`);
    const plain = new URL(`http://${this.#host}/`);
    const origin = isLoopback(secure.hostname) && (await this.#speaksPlainHttp(plain)) ? plain : secure;
    return new RegistryFetch(this.#exchange, origin, this.#retry, this.#userAgent);
  }

  async #speaksPlainHttp(origin: URL): Promise<boolean> {
    const headers = { 'user-agent': this.#userAgent };
    try {
      const response = await this.#exchange.send(new URL('/v2/', origin), { method: 'GET', headers });
      response.discard();
      return response.status !== 400;
    } catch (error) {
      if (error instanceof ConnectionError && error.garbled) return false;
      throw error;
    }
  }

  async #openBlob(
    repository: RepositoryPath,
    digest: Digest,
    offset: number,
    signal: AbortSignal | undefined,
  ): Promise<BlobContent> {
    const request = blobRequest(repository, digest, signal);
    const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
    let response: HttpResponse;
    try {
      response = await this.#send(`${repository}/blobs/${digest}`, { method: 'GET', headers, ...request });
    } catch (error) {
      if (!(error instanceof RegistryError && error.status === 416)) throw error;
      // Nothing is left to read from the very end, which HTTP has no words for.
      const { sizeBytes } = await this.headBlob(repository, digest, signal && { signal });
      if (sizeBytes === offset) return { sizeBytes, body: nothing() };
      throw registryError('RANGE_INVALID', `Cannot ${request.doing}: it has only ${sizeBytes} bytes`);
    }
    const length = lengthOf(response);
    if (response.status === 206) {
      const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.header('content-range') ?? '');
      if (range === null || Number(range[1]) !== offset) {
        response.discard();
        throw new TareError(
          'invalid',
          `Cannot ${request.doing}: ${response.url.host} sent another part than was asked for`,
        );
      }
      return { sizeBytes: range[2] === '*' ? length && length + offset : Number(range[2]), body: response.body };
    }
    if (length !== undefined && length < offset) {
      response.discard();
      throw registryError('RANGE_INVALID', `Cannot ${request.doing}: it has only ${length} bytes`);
    }
    // A server without ranges sends the whole.
    return { sizeBytes: length, body: offset === 0 ? response.body : skip(response.body, offset) };
  }

  /** The body, opened again at the byte where a connection broke. */
  async *#resuming(
    first: BlobContent,
    offset: number,
    open: (at: number) => Promise<BlobContent>,
    doing: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    let at = offset;
    let mark = offset;
    let failures = 0;
    let current: BlobContent | undefined = first;
    for (;;) {
      try {
        current ??= await open(at);
        if (first.sizeBytes !== undefined && current.sizeBytes !== undefined && current.sizeBytes !== first.sizeBytes)
          throw new TareError('invalid', `Cannot ${doing}: its size changed on the way`);
        for await (const chunk of current.body) {
          at += chunk.byteLength;
          yield chunk;
        }
        return;
      } catch (error) {
        if (!(error instanceof ConnectionError && error.transient)) throw error;
        if (at - mark >= PROGRESS_BYTES) failures = 0;
        mark = at;
        failures++;
        if (failures >= this.#retry.attempts) throw error;
      }
      current = undefined;
      await (await this.#fetch)?.pause(failures, signal, doing);
    }
  }

  /** The path of the page that `Link: <...>; rel="next"` names, on the same host only. */
  #nextPage(response: HttpResponse, doing: string): string | undefined {
    const link = /<([^>]*)>\s*;[^,]*\brel="?next"?/.exec(response.header('link') ?? '')?.[1];
    if (link === undefined) return undefined;
    const url = URL.canParse(link, response.url) ? new URL(link, response.url) : undefined;
    if (url?.origin !== response.url.origin || !url.pathname.startsWith('/v2/')) {
      throw new TareError('denied', `Cannot ${doing}: the next page is on another host`);
    }
    return url.pathname.slice('/v2/'.length) + url.search;
  }
}

function pullScope(repository: RepositoryPath): string {
  return `repository:${repository}:pull`;
}

function manifestRequest(
  method: 'GET' | 'HEAD',
  repository: RepositoryPath,
  what: string,
  { signal }: RequestOptions,
): RegistryRequest {
  return {
    method,
    headers: { accept: manifestTypes.join(', ') },
    scope: pullScope(repository),
    signal,
    doing: `read ${what}`,
    missing: 'MANIFEST_UNKNOWN',
  };
}

function blobRequest(
  repository: RepositoryPath,
  digest: Digest,
  signal: AbortSignal | undefined,
): Omit<RegistryRequest, 'method'> {
  return { scope: pullScope(repository), signal, doing: `read blob ${digest}`, missing: 'BLOB_UNKNOWN' };
}

function mediaTypeOf(response: HttpResponse): string {
  return bareMediaType(response.header('content-type') ?? '');
}

function lengthOf(response: HttpResponse): number | undefined {
  const text = response.header('content-length');
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function tagsOf(text: string, doing: string): Tag[] {
  let page: unknown;
  try {
    page = JSON.parse(text);
  } catch (cause) {
    throw new TareError('invalid', `Cannot ${doing}: the answer is not JSON`, { cause });
  }
  const tags = typeof page === 'object' && page !== null && 'tags' in page ? page.tags : undefined;
  if (tags === null) return [];
  if (!Array.isArray(tags)) throw new TareError('invalid', `Cannot ${doing}: the answer has no list of tags`);
  return tags.map((tag) => parseTag(String(tag)));
}

async function* skip(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of body) {
    if (left < chunk.byteLength) yield left === 0 ? chunk : chunk.subarray(left);
    left = Math.max(0, left - chunk.byteLength);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
