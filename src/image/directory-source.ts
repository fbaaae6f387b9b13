import { collect } from '../registry/verified.ts';
import { MANIFEST_MAX_BYTES, digestHex, type Descriptor } from '../spec/mod.ts';
import type { ImageFiles } from './image-files.ts';
import type { RawImageSource, TopManifest } from './source.ts';

/** An image in a plain directory (skopeo's `dir:`): manifest.json, every blob under its hex digest, manifests of an index as HEX.manifest.json. */
export class DirectorySource implements RawImageSource {
  readonly name: string;
  readonly storedName = undefined;
  readonly #files: ImageFiles;

  /** `name` is for people. */
  constructor(files: ImageFiles, name: string) {
    this.#files = files;
    this.name = name;
  }

  async topManifest(signal?: AbortSignal): Promise<TopManifest> {
    return { bytes: await this.#document('manifest.json', signal) };
  }

  async manifest({ digest }: Descriptor, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#document(`${digestHex(digest)}.manifest.json`, signal);
  }

  async *blob({ digest }: Descriptor, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    using file = this.#files.open(digestHex(digest));
    yield* file.read(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]();
  }

  async #document(path: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
    using file = this.#files.open(path);
    return await collect(file.read(signal), MANIFEST_MAX_BYTES, `${path} of ${this.name}`);
  }
}
