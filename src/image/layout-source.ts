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
import type { ImageFiles } from './image-files.ts';
import type { ImageChoice } from './location.ts';
import type { RawImageSource, TopManifest } from './source.ts';

/** The annotation that names an image in a layout. */
export const REF_NAME = 'org.opencontainers.image.ref.name';
/** The same with registry and repository, by containerd and Docker. */
const LONG_NAME = 'io.containerd.image.name';

/** An image in an OCI layout (image-spec image-layout.md). */
export class LayoutSource implements RawImageSource {
  readonly name: string;
  #storedName: string | undefined;
  readonly #files: ImageFiles;
  readonly #wanted: ImageChoice;

  /** Without a choice the layout must have a single image. `name` is for people. */
  constructor(files: ImageFiles, wanted: ImageChoice, name: string) {
    this.#files = files;
    this.#wanted = wanted;
    this.name = name;
    this.#storedName = storedNameOf(wanted.name);
  }

  /** Known when the top manifest was read: the layout's own name for the image, under `localhost/` where it states no registry. */
  get storedName(): string | undefined {
    return this.#storedName;
  }

  async topManifest(signal?: AbortSignal): Promise<TopManifest> {
    const descriptor = this.#choose(await readLayoutIndex(this.#files, this.name, signal));
    this.#storedName = storedNameOf(this.#wanted.name ?? layoutName(descriptor));
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

  #choose(manifests: readonly Descriptor[]): Descriptor {
    const { name: wanted, index } = this.#wanted;
    if (index !== undefined) {
      const chosen = manifests[index];
      if (chosen !== undefined) return chosen;
      throw new TareError(
        'not-found',
        `Cannot find image @${index} in ${this.#files.place}: it has ${manifests.length} images`,
      );
    }
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

/** The images of a layout. Errors: `invalid`; `unsupported` for another version. */
export async function readLayoutIndex(
  files: ImageFiles,
  name: string,
  signal?: AbortSignal,
): Promise<readonly Descriptor[]> {
  const document = async (path: string, maxBytes: number): Promise<Uint8Array> => {
    using file = files.open(path);
    return await collect(file.read(signal), maxBytes, `${path} of ${name}`);
  };
  if (layoutVersion(await document('oci-layout', 4096)) !== '1.0.0')
    throw new TareError('unsupported', `Cannot read ${name}: its oci-layout is not of version 1.0.0`);
  const index = parseManifest(await document('index.json', MANIFEST_MAX_BYTES), undefined, `index.json of ${name}`);
  if (index.kind !== 'index') throw new TareError('invalid', `Cannot read ${name}: its index.json is no index`);
  return index.manifests;
}

/** What the layout calls an image. */
export function layoutName({ annotations }: Descriptor): string | undefined {
  return annotations?.[LONG_NAME] ?? annotations?.[REF_NAME];
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

/** A layout's name as a full reference, under `localhost/` where it states no registry; undefined when it cannot be one. */
export function storedNameOf(name: string | undefined): string | undefined {
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
