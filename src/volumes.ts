import type { Engine } from './engine/engine.ts';
import type { CreateVolumeOptions } from './engine/volumes/create-volume.ts';
import type { VolumeSummary } from './engine/volumes/list-volumes.ts';
import type { PruneVolumesOptions } from './engine/volumes/prune-volumes.ts';
import type { RemoveVolumeOptions } from './engine/volumes/remove-volume.ts';
import type { ImportVolumeOptions } from './engine/volumes/volume-archive.ts';

/** A volume that goes when its scope is left. */
export interface OwnedVolume extends AsyncDisposable {
  readonly name: string;
}

/** The volumes of a root: directories that outlive containers and are shared by name. Reached as `tare.volumes`. */
export class Volumes {
  readonly #engine: Engine;

  /** @internal */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /**
   * Makes a volume; without a name it gets 64 hexadecimal digits. `await using` removes it at the end of the scope, unless a container still uses it; otherwise it stays until `remove`.
   *
   * Errors: already-exists, unless `ignore`; invalid name or options; exhausted.
   */
  async create(options: CreateVolumeOptions = {}): Promise<OwnedVolume> {
    const { createVolume } = await import('./engine/volumes/create-volume.ts');
    const name = await createVolume(this.#engine, options);
    const drop = async (): Promise<void> => {
      const { dropVolume } = await import('./engine/volumes/remove-volume.ts');
      await dropVolume(this.#engine, name);
    };
    return { name, [Symbol.asyncDispose]: drop };
  }

  /** All volumes, by name. */
  async list(): Promise<VolumeSummary[]> {
    const { listVolumes } = await import('./engine/volumes/list-volumes.ts');
    return listVolumes(this.#engine);
  }

  /** What is known of a volume, and who uses it. Errors: not-found; invalid name. */
  async inspect(name: string): Promise<VolumeSummary> {
    const { volumeSummary } = await import('./engine/volumes/list-volumes.ts');
    return volumeSummary(this.#engine, name);
  }

  async exists(name: string): Promise<boolean> {
    const { findVolume } = await import('./engine/volumes/volume.ts');
    return findVolume(this.#engine, name) !== undefined;
  }

  /** Removes a volume with all that is in it. Errors: not-found; failed-precondition while a container uses it, without `force`, which removes those first. */
  async remove(name: string, options: RemoveVolumeOptions = {}): Promise<void> {
    const { removeVolume } = await import('./engine/volumes/remove-volume.ts');
    await removeVolume(this.#engine, name, options);
  }

  /** Removes volumes that no container uses: those that were made for containers, with `all` also those with names. */
  async prune(
    options: PruneVolumesOptions = {},
  ): Promise<{ readonly removed: readonly string[]; readonly freedBytes: number }> {
    const { pruneVolumes } = await import('./engine/volumes/prune-volumes.ts');
    return await pruneVolumes(this.#engine, options);
  }

  /** Its files as a tar. The stream fails with what went wrong. */
  async *export(name: string, options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array, void, void> {
    const { exportVolume } = await import('./engine/volumes/volume-archive.ts');
    yield* exportVolume(this.#engine, name, options);
  }

  /** Unpacks a tar, plain, gzip or zstd, into a volume. Errors: not-found; invalid for a damaged archive; failed-precondition where a directory and a file meet; cancelled. */
  async import(
    name: string,
    input: ImportVolumeOptions['input'],
    options: Omit<ImportVolumeOptions, 'input'> = {},
  ): Promise<void> {
    const { importVolume } = await import('./engine/volumes/volume-archive.ts');
    await importVolume(this.#engine, name, { ...options, input });
  }
}
