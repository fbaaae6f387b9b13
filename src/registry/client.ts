import { TareError } from '../base/errors.ts';
import {
  MANIFEST_MAX_BYTES,
  bareMediaType,
  digestAlgorithm,
  isDigest,
  manifestTypes,
  type Digest,
  type RepositoryPath,
  type Tag,
} from '../spec/mod.ts';
import { RegistryConnection } from './_connection.ts';
import { blobSize, download } from './_download.ts';
import type { ClientCertificate } from './_exchange.ts';
import type { RegistryRequest, RetryOptions } from './_fetch.ts';
import { listTags } from './_list-tags.ts';
import { bodyOf } from './_request-body.ts';
import { contentLength, type HttpResponse } from './_response.ts';
import { Upload } from './_upload.ts';
import type { Credentials, CredentialsFor } from './credentials.ts';
import type {
  BlobContent,
  BlobIdentity,
  BlobOptions,
  ContentInfo,
  ManifestContent,
  Registry,
  RequestOptions,
} from './registry.ts';
import { digestOf, verifyBytes } from './verified.ts';

export interface RegistryClientOptions {
  /** Who we are, where the registry wants to know. Anonymous unless stated. */
  readonly credentials?: Credentials | CredentialsFor;
  /** PEM certificates trusted besides the machine's own. */
  readonly ca?: readonly string[];
  /** What we show a registry that wants a certificate. Only this registry's host gets them. */
  readonly clientCertificates?: readonly ClientCertificate[];
  /** False: this registry's host need not show a certificate that is trusted, and may speak plain http. Hosts it sends us to have to all the same. */
  readonly tlsVerify?: boolean;
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

/**
 * A registry over the network. TLS always, except that a registry on this machine (`localhost`, 127.0.0.0/8, ::1) is spoken to in plain http when it speaks no TLS, and
 * others with `tlsVerify: false`. A registry that hands out tokens to everybody is asked for one; credentials are sent to the registry's own origin and to the token server it
 * names, never where a redirect or an upload's address leads. A blob whose connection breaks goes on where it stopped, in both directions.
 *
 * Errors: as RegistryReader and RegistryWriter; connections fail with `unavailable`, certificates and redirects with `denied`.
 */
export class RegistryClient implements Registry, Disposable {
  readonly #connection: RegistryConnection;

  /** `domain` is a Reference's. Connects to nothing yet. */
  constructor(domain: string, options: RegistryClientOptions = {}) {
    const host = domain === 'docker.io' ? 'registry-1.docker.io' : domain;
    const address = `https://${host}`;
    if (!URL.canParse(address) || new URL(address).href !== `https://${new URL(address).host}/`) {
      throw new TareError('invalid', `Cannot use registry ${JSON.stringify(domain)}: it is not a host name`);
    }
    const { credentials, tlsVerify = true } = options;
    this.#connection = new RegistryConnection({
      host,
      domain,
      ca: options.ca ?? [],
      clientCertificates: options.clientCertificates ?? [],
      verify: tlsVerify,
      insecure: !tlsVerify,
      credentials: typeof credentials === 'object' ? () => credentials : credentials,
      proxyEnv: options.proxyEnv ?? {},
      connectTimeoutMs: options.connectTimeoutMs ?? 30_000,
      idleTimeoutMs: options.idleTimeoutMs ?? 60_000,
      retry: { attempts: 4, delayMs: 500, ...options.retry },
      userAgent: options.userAgent ?? 'tare',
    });
  }

  /** Asks the registry whether it speaks the protocol and takes our credentials (distribution-spec, end-1). Errors: `denied` when it does not. */
  async ping(options: RequestOptions = {}): Promise<void> {
    const { host } = this.#connection;
    const doing = `sign in to ${host}`;
    const request: RegistryRequest = {
      method: 'GET',
      scopes: [],
      signal: options.signal,
      doing,
      missing: 'UNSUPPORTED',
    };
    (await this.#connection.send('', request, 200)).discard();
  }

  async getManifest(
    repository: RepositoryPath,
    reference: Tag | Digest,
    options: RequestOptions = {},
  ): Promise<ManifestContent> {
    const what = `manifest ${this.#name(repository, reference)}`;
    const response = await this.#connection.send(
      `${repository}/manifests/${reference}`,
      manifestRequest('GET', repository, what, options),
      200,
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
    const response = await this.#connection.send(
      `${repository}/manifests/${reference}`,
      manifestRequest('HEAD', repository, what, options),
      200,
    );
    response.discard();
    const announced = response.header('docker-content-digest') ?? '';
    const sizeBytes = contentLength(response);
    if (isDigest(announced) && sizeBytes !== undefined && (!isDigest(reference) || reference === announced)) {
      return { mediaType: mediaTypeOf(response), digest: announced, sizeBytes };
    }
    const { bytes, mediaType, digest } = await this.getManifest(repository, reference, options);
    return { mediaType, digest, sizeBytes: bytes.byteLength };
  }

  getBlob(repository: RepositoryPath, digest: Digest, options: BlobOptions = {}): Promise<BlobContent> {
    return download(this.#connection, repository, digest, options.offset ?? 0, options.signal);
  }

  async headBlob(repository: RepositoryPath, digest: Digest, options: RequestOptions = {}): Promise<ContentInfo> {
    const { sizeBytes, response } = await blobSize(this.#connection, repository, digest, options.signal);
    return { mediaType: mediaTypeOf(response), digest, sizeBytes };
  }

  tags(repository: RepositoryPath, options: RequestOptions = {}): AsyncIterable<Tag> {
    return listTags(this.#connection, repository, options.signal);
  }

  mountBlob(
    repository: RepositoryPath,
    digest: Digest,
    from: RepositoryPath,
    options: RequestOptions = {},
  ): Promise<boolean> {
    return new Upload(this.#connection, repository, options.signal).mount(digest, from);
  }

  putBlob(
    repository: RepositoryPath,
    blob: BlobIdentity,
    open: (offset: number) => AsyncIterable<Uint8Array>,
    options: RequestOptions = {},
  ): Promise<void> {
    return new Upload(this.#connection, repository, options.signal).put(blob, open);
  }

  streamBlob(
    repository: RepositoryPath,
    body: AsyncIterable<Uint8Array>,
    finish: () => BlobIdentity,
    options: RequestOptions = {},
  ): Promise<void> {
    return new Upload(this.#connection, repository, options.signal).stream(body, finish);
  }

  async putManifest(
    repository: RepositoryPath,
    reference: Tag | Digest,
    manifest: { readonly bytes: Uint8Array; readonly mediaType: string },
    options: RequestOptions = {},
  ): Promise<Digest> {
    const what = `manifest ${this.#name(repository, reference)}`;
    const { bytes, mediaType } = manifest;
    if (bytes.byteLength > MANIFEST_MAX_BYTES)
      throw new TareError('invalid', `Cannot write ${what}: it is longer than ${MANIFEST_MAX_BYTES} bytes`);
    const digest = digestOf(bytes, isDigest(reference) ? digestAlgorithm(reference) : 'sha256');
    if (isDigest(reference)) verifyBytes(bytes, reference, what);
    const response = await this.#connection.send(
      `${repository}/manifests/${reference}`,
      {
        method: 'PUT',
        headers: { 'content-type': mediaType },
        body: bodyOf(bytes),
        scopes: [{ repository, actions: 'pull,push' }],
        signal: options.signal,
        doing: `write ${what}`,
        missing: 'NAME_UNKNOWN',
      },
      201,
    );
    response.discard();
    const stored = response.header('docker-content-digest') ?? '';
    if (isDigest(stored) && digestAlgorithm(stored) === digestAlgorithm(digest) && stored !== digest)
      throw new TareError('invalid', `Cannot write ${what}: ${response.url.host} stored ${stored}, not ${digest}`);
    return digest;
  }

  async deleteManifest(
    repository: RepositoryPath,
    reference: Tag | Digest,
    options: RequestOptions = {},
  ): Promise<void> {
    const response = await this.#connection.send(
      `${repository}/manifests/${reference}`,
      {
        method: 'DELETE',
        scopes: [{ repository, actions: 'pull,push,delete' }],
        signal: options.signal,
        doing: `delete manifest ${this.#name(repository, reference)}`,
        missing: 'MANIFEST_UNKNOWN',
      },
      200,
      202,
      204,
    );
    response.discard();
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }

  #name(repository: RepositoryPath, reference: Tag | Digest): string {
    return `${this.#connection.host}/${repository}${isDigest(reference) ? '@' : ':'}${reference}`;
  }
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
    scopes: [{ repository, actions: 'pull' }],
    signal,
    doing: `read ${what}`,
    missing: 'MANIFEST_UNKNOWN',
  };
}

function mediaTypeOf(response: HttpResponse): string {
  return bareMediaType(response.header('content-type') ?? '');
}
