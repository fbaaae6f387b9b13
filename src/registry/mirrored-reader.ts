import { TareError } from '../base/errors.ts';
import type { Digest, RepositoryPath, Tag } from '../spec/mod.ts';
import type { RegistryClient } from './client.ts';
import type { Registries } from './registries.ts';
import type { Endpoint, Named } from './registries-conf.ts';
import type {
  BlobContent,
  BlobOptions,
  ContentInfo,
  ManifestContent,
  RegistryReader,
  RequestOptions,
} from './registry.ts';

/** A mirror is there to be quick: the registry behind it is the second try. */
const mirrorPatience = { retry: { attempts: 2 }, connectTimeoutMs: 10_000 };

/**
 * One repository, read from its mirrors and its own registry. The first place that has the manifest is asked for everything after it; where that lacks a blob, the
 * places behind it are asked. The repository is named as its reference does: the places may call it otherwise.
 *
 * Errors: as RegistryReader; those of the last place when all fail, with what the others said in the message.
 */
export class MirroredReader implements RegistryReader, Disposable {
  readonly #registries: Registries;
  readonly #named: Named;
  readonly #clients = new Map<string, RegistryClient>();
  #endpoints: Promise<Endpoint[]> | undefined;
  #chosen = 0;

  constructor(registries: Registries, named: Named) {
    this.#registries = registries;
    this.#named = named;
  }

  getManifest(_: RepositoryPath, reference: Tag | Digest, options?: RequestOptions): Promise<ManifestContent> {
    return this.#first((client, path) => client.getManifest(path, reference, options), true);
  }

  headManifest(_: RepositoryPath, reference: Tag | Digest, options?: RequestOptions): Promise<ContentInfo> {
    return this.#first((client, path) => client.headManifest(path, reference, options), true);
  }

  getBlob(_: RepositoryPath, digest: Digest, options?: BlobOptions): Promise<BlobContent> {
    return this.#first((client, path) => client.getBlob(path, digest, options));
  }

  headBlob(_: RepositoryPath, digest: Digest, options?: RequestOptions): Promise<ContentInfo> {
    return this.#first((client, path) => client.headBlob(path, digest, options));
  }

  /** Of the registry itself: a mirror has some. */
  async *tags(_: RepositoryPath, options?: RequestOptions): AsyncGenerator<Tag> {
    const endpoint = (await this.#places()).at(-1);
    if (endpoint !== undefined) yield* this.#open(endpoint, false).tags(endpoint.path, options);
  }

  async #first<T>(ask: (client: RegistryClient, path: RepositoryPath) => Promise<T>, choose = false): Promise<T> {
    const endpoints = await this.#places();
    const said: string[] = [];
    for (let index = this.#chosen; ; index++) {
      const endpoint = endpoints[index];
      if (endpoint === undefined) throw new TareError('internal', 'Cannot read an image: there is no place for it');
      try {
        const answer = await ask(this.#open(endpoint, index < endpoints.length - 1), endpoint.path);
        if (choose) this.#chosen = index;
        return answer;
      } catch (error) {
        if (!(error instanceof TareError) || isGivenUp(error)) throw error;
        if (index >= endpoints.length - 1) throw withOthers(error, said);
        said.push(error.message);
      }
    }
  }

  #places(): Promise<Endpoint[]> {
    return (this.#endpoints ??= this.#registries.toRead(this.#named));
  }

  #open(endpoint: Endpoint, isMirror: boolean): RegistryClient {
    const key = `${isMirror} ${endpoint.insecure} ${endpoint.domain}`;
    let client = this.#clients.get(key);
    if (client === undefined)
      this.#clients.set(key, (client = this.#registries.open(endpoint, isMirror ? mirrorPatience : {})));
    return client;
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client[Symbol.dispose]();
    this.#clients.clear();
  }
}

function isGivenUp(error: TareError): boolean {
  return error.kind === 'cancelled' || error.kind === 'deadline';
}

/** The error keeps its class, status and code: only its words grow. */
function withOthers(error: TareError, said: readonly string[]): TareError {
  if (said.length > 0) error.message = `${error.message} (its mirrors: ${said.join('; ')})`;
  return error;
}
