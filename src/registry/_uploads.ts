import { randomUUID } from 'node:crypto';
import type { Digest, RepositoryPath } from '../spec/mod.ts';
import { Channel } from './_channel.ts';
import { RegistryError, registryError } from './error.ts';
import type { BlobIdentity, RegistryWriter } from './registry.ts';

export interface UploadLimits {
  /** The largest blob that is taken. */
  readonly maxBlobBytes: number;
  /** Uploads at the same time. */
  readonly maxUploads: number;
  /** An upload that nobody touched for so long is forgotten. */
  readonly uploadIdleMs: number;
}

/** The uploads on their way through a server. Each is one `streamBlob` of the registry behind it, fed by as many requests as its client makes. */
export class Uploads {
  readonly #registry: RegistryWriter;
  readonly #limits: UploadLimits;
  readonly #sessions = new Map<string, UploadSession>();

  constructor(registry: RegistryWriter, limits: UploadLimits) {
    this.#registry = registry;
    this.#limits = limits;
  }

  /** Errors: RegistryError TOOMANYREQUESTS. */
  begin(repository: RepositoryPath): UploadSession {
    if (this.#sessions.size >= this.#limits.maxUploads)
      throw registryError('TOOMANYREQUESTS', 'Cannot take an upload: there are too many now');
    const session = new UploadSession(this.#registry, repository, this.#limits, () =>
      this.#sessions.delete(session.id),
    );
    this.#sessions.set(session.id, session);
    return session;
  }

  /** Errors: RegistryError BLOB_UPLOAD_UNKNOWN. */
  find(repository: RepositoryPath, id: string): UploadSession {
    const session = this.#sessions.get(id);
    if (session?.repository !== repository)
      throw registryError('BLOB_UPLOAD_UNKNOWN', 'Cannot go on with the upload: it is not known, or was given up');
    return session;
  }
}

/** One blob that arrives in parts. It ends with `finish` or `cancel`, or by itself when nobody goes on with it. */
export class UploadSession {
  readonly id = randomUUID();
  readonly repository: RepositoryPath;
  readonly #limits: UploadLimits;
  readonly #channel = new Channel();
  readonly #stored: Promise<void>;
  readonly #idle: NodeJS.Timeout;
  #identity: BlobIdentity | undefined;
  #busy = false;
  #bytes = 0;

  constructor(registry: RegistryWriter, repository: RepositoryPath, limits: UploadLimits, gone: () => void) {
    this.repository = repository;
    this.#limits = limits;
    this.#idle = setTimeout(() => this.cancel(), limits.uploadIdleMs).unref();
    const identity = (): BlobIdentity => {
      if (this.#identity === undefined) throw registryError('BLOB_UPLOAD_INVALID', 'Cannot store the blob: no digest');
      return this.#identity;
    };
    this.#stored = registry.streamBlob(repository, this.#channel, identity).finally(() => {
      clearTimeout(this.#idle);
      gone();
    });
    // Whoever sends the next part learns of it.
    this.#stored.catch((error: unknown) =>
      this.#channel.abort(error instanceof Error ? error : new Error('the blob was not stored', { cause: error })),
    );
  }

  /** How much has been taken. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a part. What arrived before `body` failed counts. Errors: RegistryError; what `body` throws. */
  async append(body: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.#busy)
      throw new RegistryError(409, 'BLOB_UPLOAD_INVALID', 'Cannot take the part: another one is on its way');
    this.#busy = true;
    try {
      for await (const chunk of body) {
        this.#idle.refresh();
        if (this.#bytes + chunk.byteLength > this.#limits.maxBlobBytes) {
          const most = this.#limits.maxBlobBytes;
          const error = new RegistryError(
            413,
            'SIZE_INVALID',
            `Cannot store the blob: it is longer than ${most} bytes`,
          );
          this.#channel.abort(error);
          throw error;
        }
        await this.#channel.push(chunk);
        this.#bytes += chunk.byteLength;
      }
    } finally {
      this.#busy = false;
    }
  }

  /** Takes the last part; resolves when the blob is stored. Errors: RegistryError, DIGEST_INVALID when the bytes are not those of `digest`. */
  async finish(body: AsyncIterable<Uint8Array>, digest: Digest): Promise<void> {
    await this.append(body);
    this.#identity = { digest, sizeBytes: this.#bytes };
    this.#channel.end();
    await this.#stored;
  }

  cancel(): void {
    this.#channel.abort(registryError('BLOB_UPLOAD_UNKNOWN', 'Cannot go on with the upload: it was given up'));
  }
}
