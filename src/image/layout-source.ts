import { TareError } from '../base/errors.ts';
import { collect } from '../registry/verified.ts';
import {
  MANIFEST_MAX_BYTES,
  digestAlgorithm,
  digestHex,
  parseManifest,
  parseReference,
  withDefaultTag,
  formatReference,
  type Descriptor,
} from '../spec/mod.ts';
import type { RawImageSource, TopManifest } from './source.ts';

/** A file of a layout, open for reading. */
export interface LayoutFile extends Disposable {
  readonly sizeBytes: number;
  read(signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** The files of an OCI layout, in a directory or an archive. */
export interface LayoutFiles extends AsyncDisposable {
  /** For people. */
  readonly place: string;
  /** `path` is one of `oci-layout`, `index.json` and `blobs/ALGORITHM/HEX`. Errors: `not-found`, `invalid`, `denied`. */
  open(path: string): LayoutFile;
}

const REF_NAME = 'org.opencontainers.image.ref.name';
const LONG_NAME = 'io.containerd.image.name';

/** An image in an OCI layout (image-spec image-layout.md). */
export class LayoutSource implements RawImageSource {
  readonly name: string;
  #storedName: string | undefined;
  readonly #files: LayoutFiles;
  readonly #wanted: string | undefined;

  /** `wanted` is the image's name in the layout; without it the layout must have a single image. */
  constructor(files: LayoutFiles, wanted: string | undefined, name: string) {
    this.#files = files;
    this.#wanted = wanted;
    this.name = name;
    this.#storedName = storedNameOf(wanted);
  }

  /** Known when the top manifest was read: the layout's own name for the image, under `localhost/` where it states no registry. */
  get storedName(): string | undefined {
    return this.#storedName;
  }

  async topManifest(signal?: AbortSignal): Promise<TopManifest> {
    const version = await this.#document('oci-layout', 4096, signal);
    if (layoutVersion(version) !== '1.0.0')
      throw new TareError('unsupported', `Cannot read ${this.name}: its oci-layout is not of version 1.0.0`);
    const index = parseManifest(
      await this.#document('index.json', MANIFEST_MAX_BYTES, signal),
      undefined,
      `index.json of ${this.name}`,
    );
    if (index.kind !== 'index') throw new TareError('invalid', `Cannot read ${this.name}: its index.json is no index`);
    const descriptor = this.#choose(index.manifests);
    this.#storedName = storedNameOf(
      this.#wanted ?? descriptor.annotations?.[LONG_NAME] ?? descriptor.annotations?.[REF_NAME],
    );
    const bytes = await this.manifest(descriptor, signal);
    return { bytes, mediaType: descriptor.mediaType, digest: descriptor.digest };
  }

  async manifest(descriptor: Descriptor, signal?: AbortSignal): Promise<Uint8Array> {
    return collect(this.blob(descriptor, signal), MANIFEST_MAX_BYTES, `manifest ${descriptor.digest} of ${this.name}`);
  }

  async *blob(descriptor: Descriptor, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const { digest, size } = descriptor;
    using file = this.#files.open(`blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`);
    if (file.sizeBytes !== size) {
      throw new TareError(
        'invalid',
        `Cannot use blob ${digest} of ${this.name}: it has ${file.sizeBytes} bytes, its descriptor says ${size}`,
      );
    }
    yield* file.read(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]();
  }

  async #document(path: string, maxBytes: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    using file = this.#files.open(path);
    return await collect(file.read(signal), maxBytes, `${path} of ${this.name}`);
  }

  #choose(manifests: readonly Descriptor[]): Descriptor {
    const wanted = this.#wanted;
    const found =
      wanted === undefined ? manifests : manifests.filter(({ annotations }) => annotations?.[REF_NAME] === wanted);
    const [first] = found;
    if (first !== undefined && (found.length === 1 || wanted !== undefined)) return first;
    const names = manifests.map(({ annotations }) => annotations?.[REF_NAME]).filter((name) => name !== undefined);
    const list = names
      .slice(0, 10)
      .map((name) => JSON.stringify(name))
      .join(', ');
    if (first !== undefined)
      throw new TareError(
        'invalid',
        `Cannot choose an image of ${this.name}: it has ${found.length}; name one of them after a colon${list && `: ${list}`}`,
      );
    throw new TareError(
      'not-found',
      `Cannot find image ${JSON.stringify(wanted ?? '')} in ${this.#files.place}: ${list === '' ? 'it has no named image' : `it has ${list}`}`,
    );
  }
}

function layoutVersion(bytes: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === 'object' && value !== null && 'imageLayoutVersion' in value
      ? value.imageLayoutVersion
      : undefined;
  } catch {
    return undefined;
  }
}

/** A layout's name as a full reference; undefined when it cannot be one. */
function storedNameOf(name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  const first = name.split('/', 1)[0] ?? '';
  const isFull = name.includes('/') && /[.:]|^localhost$/.test(first);
  try {
    const { digest: _, ...reference } = parseReference(isFull ? name : `localhost/${name}`);
    return formatReference(withDefaultTag(reference));
  } catch {
    return undefined;
  }
}
