import { TareError } from '../base/errors.ts';
import { cleanPath, utf8Of } from '../archive/mod.ts';
import { collect, digestOf } from '../registry/verified.ts';
import {
  DOCKER_ARCHIVE_MANIFEST_MAX_BYTES,
  IMAGE_CONFIG_MAX_BYTES,
  digestAlgorithm,
  formatReference,
  mediaTypes,
  parseDockerArchive,
  parseImageConfig,
  parseReference,
  withDefaultTag,
  type Descriptor,
  type Digest,
  type DockerArchiveImage,
} from '../spec/mod.ts';
import { digestOfStream } from './_digest-of-stream.ts';
import type { ImageFile, ImageFiles } from './image-files.ts';
import { compressionOf } from './layer-tar.ts';
import type { ImageChoice } from './location.ts';
import type { RawImageSource, TopManifest } from './source.ts';

const layerTypes = { none: mediaTypes.dockerLayer, gzip: mediaTypes.dockerLayerGzip, zstd: mediaTypes.ociLayerZstd };

/** The images of a docker-archive. Errors: `not-found` when it is none, `invalid`. */
export async function readDockerArchive(
  files: ImageFiles,
  signal?: AbortSignal,
): Promise<readonly DockerArchiveImage[]> {
  const what = `manifest.json of ${files.place}`;
  using file = files.open('manifest.json');
  return parseDockerArchive(await collect(file.read(signal), DOCKER_ARCHIVE_MANIFEST_MAX_BYTES, what), what);
}

/** The full references that an image of an archive has. What cannot be a reference is left out. */
export function namesInArchive({ repoTags }: DockerArchiveImage): string[] {
  return repoTags.flatMap((tag) => {
    try {
      return [formatReference(withDefaultTag(parseReference(tag)))];
    } catch {
      return [];
    }
  });
}

/**
 * An image in the archive that `docker save` and `podman save` write. It has no registry manifest: one is made of what the archive has. Its layers are mostly plain tars,
 * whose digests are the config's diffIds; compressed ones are hashed first.
 */
export class DockerArchiveSource implements RawImageSource {
  readonly name: string;
  #storedName: string | undefined;
  readonly #files: ImageFiles;
  readonly #wanted: ImageChoice;
  readonly #paths = new Map<Digest, string>();

  /** Without a choice the archive must have a single image. `name` is for people. */
  constructor(files: ImageFiles, wanted: ImageChoice, name: string) {
    this.#files = files;
    this.#wanted = wanted;
    this.name = name;
  }

  /** Known when the top manifest was read. */
  get storedName(): string | undefined {
    return this.#storedName;
  }

  async topManifest(signal?: AbortSignal): Promise<TopManifest> {
    const image = this.#choose(await readDockerArchive(this.#files, signal));
    this.#storedName = this.#wanted.name === undefined ? namesInArchive(image)[0] : fullName(this.#wanted.name);
    const config = await this.#config(image, signal);
    const { diffIds } = parseImageConfig(config, `config of ${this.name}`);
    if (diffIds.length !== image.layerPaths.length) {
      throw new TareError(
        'invalid',
        `Cannot use ${this.name}: it has ${image.layerPaths.length} layers, its config names ${diffIds.length}`,
      );
    }
    const layers: Descriptor[] = [];
    for (const [index, path] of image.layerPaths.entries())
      layers.push(await this.#layer(path, diffIds[index] as string as Digest, signal));
    const configDigest = digestOf(config);
    this.#paths.set(configDigest, image.configPath);
    const manifest = {
      schemaVersion: 2,
      mediaType: mediaTypes.dockerManifest,
      config: { mediaType: mediaTypes.dockerConfig, size: config.byteLength, digest: configDigest },
      layers,
    };
    return { bytes: Buffer.from(JSON.stringify(manifest)), mediaType: mediaTypes.dockerManifest };
  }

  async manifest({ digest }: Descriptor): Promise<Uint8Array> {
    throw new TareError('not-found', `Cannot read manifest ${digest} of ${this.name}: such archives have none`);
  }

  async *blob({ digest, size }: Descriptor, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const path = this.#paths.get(digest);
    if (path === undefined)
      throw new TareError('not-found', `Cannot read blob ${digest} of ${this.name}: no such blob`);
    using file = this.#open(path);
    if (file.sizeBytes !== size)
      throw new TareError('invalid', `Cannot use ${path} of ${this.name}: it has ${file.sizeBytes} bytes, not ${size}`);
    yield* file.read(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]();
  }

  #open(path: string): ImageFile {
    return this.#files.open(utf8Of(cleanPath(path)));
  }

  async #config({ configPath }: DockerArchiveImage, signal: AbortSignal | undefined): Promise<Uint8Array> {
    using file = this.#open(configPath);
    return await collect(file.read(signal), IMAGE_CONFIG_MAX_BYTES, `${configPath} of ${this.name}`);
  }

  async #layer(path: string, diffId: Digest, signal: AbortSignal | undefined): Promise<Descriptor> {
    using file = this.#open(path);
    const compression = compressionOf(await startOf(file));
    if (compression === 'bzip2' || compression === 'xz')
      throw new TareError('unsupported', `Cannot use ${path} of ${this.name}: ${compression} is not supported`);
    const digest = compression === 'none' ? diffId : await digestOfStream(file.read(signal), digestAlgorithm(diffId));
    this.#paths.set(digest, path);
    return { mediaType: layerTypes[compression], size: file.sizeBytes, digest };
  }

  #choose(images: readonly DockerArchiveImage[]): DockerArchiveImage {
    const { name, index } = this.#wanted;
    const wanted = name === undefined ? undefined : fullName(name);
    const chosen =
      index !== undefined
        ? images[index]
        : wanted !== undefined
          ? images.find((image) => namesInArchive(image).includes(wanted))
          : images[0];
    if (chosen !== undefined && (images.length === 1 || index !== undefined || wanted !== undefined)) return chosen;
    const names = images.flatMap(namesInArchive).slice(0, 10).join(', ');
    const has = names === '' ? `it has ${images.length} images, all without a name` : `it has ${names}`;
    if (chosen !== undefined)
      throw new TareError(
        'invalid',
        `Cannot choose an image of ${this.name}: ${has}; name one of them, or its place as @N, after a colon`,
      );
    const what = index === undefined ? JSON.stringify(name ?? '') : `@${index}`;
    throw new TareError('not-found', `Cannot find image ${what} in ${this.#files.place}: ${has}`);
  }
}

function fullName(name: string): string {
  return formatReference(withDefaultTag(parseReference(name)));
}

async function startOf(file: ImageFile): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of file.read()) {
    parts.push(chunk.subarray(0, 8));
    bytes += chunk.byteLength;
    if (bytes >= 5) break;
  }
  return Buffer.concat(parts);
}
