import type { Engine } from './engine/engine.ts';
import type { CreateSecretOptions, SecretRecord } from './engine/secrets/store.ts';

const store = () => import('./engine/secrets/store.ts');

/** The secrets of a root: `tare.secrets`. */
export class Secrets {
  readonly #engine: Engine;

  /** @internal */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Keeps a value under a name; returns the id. Errors: invalid for a bad name or more than 512,000 bytes; already-exists. */
  async create(name: string, value: string | Uint8Array, options: CreateSecretOptions = {}): Promise<string> {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    return (await store()).createSecret(this.#engine, name, bytes, options);
  }

  /** All, by name, without their values. */
  async list(): Promise<readonly SecretRecord[]> {
    return (await store()).listSecrets(this.#engine);
  }

  /** One by name, id or beginning of an id, without its value. Errors: not-found. */
  async find(nameOrId: string): Promise<SecretRecord> {
    return (await store()).findSecret(this.#engine, nameOrId);
  }

  /** The value. Errors: not-found; unavailable when its driver fails. */
  async read(nameOrId: string): Promise<Uint8Array> {
    return (await store()).readSecret(this.#engine, nameOrId);
  }

  /** Forgets it; containers that run keep what they have. Returns the id. Errors: not-found. */
  async remove(nameOrId: string): Promise<string> {
    return (await store()).removeSecret(this.#engine, nameOrId);
  }
}
