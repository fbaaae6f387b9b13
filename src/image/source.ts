import { TareError } from '../base/errors.ts';
import { digestOf, collect, verified, verifyBytes } from '../registry/verified.ts';
import {
  parseManifest,
  type Descriptor,
  type DiffId,
  type Digest,
  type Manifest,
  type Reference,
} from '../spec/mod.ts';

export interface ReadOptions {
  readonly signal?: AbortSignal;
}

/** The bytes that a name leads to. */
export interface TopManifest {
  readonly bytes: Uint8Array;
  /** Where the transport says so. */
  readonly mediaType?: string;
  /** Where the name, or a descriptor behind it, promises one. */
  readonly digest?: Digest;
}

/** A layer that is kept unpacked, as the tar it was unpacked from. */
export interface LayerTarSource {
  readonly diffId: DiffId;
  readonly sizeBytes: number;
  open(signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** What a transport supplies. Nothing it gives is trusted: an ImageSource checks it. */
export interface RawImageSource extends AsyncDisposable {
  /** For people: `docker://…`, `oci:…`. */
  readonly name: string;
  /** The full reference that a pulled image gets unless its user says otherwise; undefined: none. */
  readonly storedName: string | undefined;
  topManifest(signal?: AbortSignal): Promise<TopManifest>;
  /** A manifest by its digest: registries keep them apart from blobs. */
  manifest(descriptor: Descriptor, signal?: AbortSignal): Promise<Uint8Array>;
  blob(descriptor: Descriptor, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** False when the blob is not to be had in this form; then the layer's tar is. Absent: always true. */
  hasBlob?(descriptor: Descriptor): boolean;
  /** The tar of the `index`-th layer (base first) of the image that the top manifest describes, where layers are kept unpacked. */
  layerTar?(index: number): LayerTarSource | undefined;
  /** Where else the image's blobs may be: the names it has and had. */
  readonly origins?: readonly Reference[];
}

/** A manifest with the bytes that its digest is of. */
export interface SourceManifest {
  readonly manifest: Manifest;
  readonly bytes: Uint8Array;
  readonly digest: Digest;
}

/**
 * One image (or an index of several) at its place. The only way from a transport to its bytes, and every byte is checked on that way: manifests and blobs have the
 * size and the digest of their descriptors, or reading them fails.
 *
 * Errors: `invalid` for what is not as promised; those of the transport.
 */
export class ImageSource implements AsyncDisposable {
  readonly #raw: RawImageSource;

  constructor(raw: RawImageSource) {
    this.#raw = raw;
  }

  /** For people: `docker://docker.io/library/busybox:latest`. */
  get name(): string {
    return this.#raw.name;
  }

  /** The full reference that a pulled image gets unless its user says otherwise; undefined: none. */
  get storedName(): string | undefined {
    return this.#raw.storedName;
  }

  /** What the name leads to: a manifest or an index. */
  async topManifest(options: ReadOptions = {}): Promise<SourceManifest> {
    const { bytes, mediaType, digest } = await this.#raw.topManifest(options.signal);
    if (digest !== undefined) verifyBytes(bytes, digest, `manifest of ${this.name}`);
    return {
      manifest: parseManifest(bytes, mediaType, `manifest of ${this.name}`),
      bytes,
      digest: digest ?? digestOf(bytes),
    };
  }

  /** What an entry of an index leads to. */
  async manifest(descriptor: Descriptor, options: ReadOptions = {}): Promise<SourceManifest> {
    const what = `manifest ${descriptor.digest} of ${this.name}`;
    const bytes = await this.#raw.manifest(descriptor, options.signal);
    if (bytes.byteLength !== descriptor.size) {
      throw new TareError(
        'invalid',
        `Cannot use ${what}: it has ${bytes.byteLength} bytes, its descriptor says ${descriptor.size}`,
      );
    }
    verifyBytes(bytes, descriptor.digest, what);
    return { manifest: parseManifest(bytes, descriptor.mediaType, what), bytes, digest: descriptor.digest };
  }

  /** The bytes of a config or layer. The end is only reached when all of them were right. */
  blob(descriptor: Descriptor, options: ReadOptions = {}): AsyncGenerator<Uint8Array, void, void> {
    return verified(
      this.#raw.blob(descriptor, options.signal),
      descriptor,
      `blob ${descriptor.digest} of ${this.name}`,
    );
  }

  /** False when the blob is not to be had in this form, but the layer's tar by `layerTar`. */
  hasBlob(descriptor: Descriptor): boolean {
    return this.#raw.hasBlob?.(descriptor) ?? true;
  }

  /** The tar of a layer (base first) of the top manifest's image, where layers are kept unpacked. Its end is only reached when it is the tar of the diffId. */
  layerTar(index: number): LayerTarSource | undefined {
    const layer = this.#raw.layerTar?.(index);
    if (layer === undefined) return undefined;
    const { diffId, sizeBytes } = layer;
    const expected = { digest: diffId as string as Digest, size: sizeBytes };
    return {
      diffId,
      sizeBytes,
      open: (signal) => verified(layer.open(signal), expected, `layer ${diffId} of ${this.name}`),
    };
  }

  /** Where else the image's blobs may be: the names it has and had. */
  get origins(): readonly Reference[] {
    return this.#raw.origins ?? [];
  }

  /** A small blob in one piece. Errors: also `invalid` when it is longer than `maxBytes`, before anything is read. */
  async smallBlob(descriptor: Descriptor, maxBytes: number, options: ReadOptions = {}): Promise<Uint8Array> {
    const what = `blob ${descriptor.digest} of ${this.name}`;
    if (descriptor.size > maxBytes)
      throw new TareError('invalid', `Cannot use ${what}: it is longer than ${maxBytes} bytes`);
    return collect(this.blob(descriptor, options), maxBytes, what);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#raw[Symbol.asyncDispose]();
  }
}
