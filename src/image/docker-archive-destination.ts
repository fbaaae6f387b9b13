import { TareError } from '../base/errors.ts';
import { digestHex, parseManifest, type Digest } from '../spec/mod.ts';
import { TarStream } from './_tar-stream.ts';
import type { ArchiveOutput } from './archive-output.ts';
import type { ImageDestination } from './destination.ts';

interface Entry {
  readonly Config: string;
  readonly RepoTags: readonly string[] | null;
  readonly Layers: readonly string[];
}

/** The archive that `docker load` reads, with any number of images; layers that they share are in it once. `output` is owned from here; disposing without `commit` abandons it. */
export class DockerArchiveWriter implements AsyncDisposable {
  readonly #output: ArchiveOutput;
  readonly #tar: TarStream;
  readonly #entries: Entry[] = [];
  /** Blobs that are in the archive, or on their way into it. */
  readonly #written = new Map<Digest, Promise<void>>();

  /** `tempDir`: where layers wait whose size is not known before their end. */
  constructor(output: ArchiveOutput, tempDir: string) {
    this.#output = output;
    this.#tar = new TarStream(output, tempDir);
  }

  /** A place for one image with these full references; its commit makes it part of the archive. `name` is for people. */
  image(names: readonly string[], name: string): ImageDestination {
    return {
      name,
      takes: { layers: 'plain', manifests: 'docker', indexes: false },
      hasBlob: async ({ digest }) => {
        await this.#written.get(digest);
        return this.#written.has(digest);
      },
      putBlob: async ({ digest, sizeBytes, kind }, open) => {
        const known = this.#written.get(digest);
        if (known !== undefined) return known;
        const path = kind === 'config' ? configPath(digest) : layerPath(digest);
        const turn = this.#tar.file(path, sizeBytes, () => open(0));
        this.#written.set(digest, turn);
        return turn;
      },
      streamBlob: (body, finish) =>
        this.#tar.fileOfUnknownSize(body, () => {
          const { digest } = finish();
          if (this.#written.has(digest)) return undefined;
          this.#written.set(digest, Promise.resolve());
          return layerPath(digest);
        }),
      async putManifest() {
        throw new TareError('unsupported', `Cannot write ${name}: such archives hold no index`);
      },
      commit: async (top) => {
        const manifest = parseManifest(top.bytes, top.mediaType, `manifest for ${name}`);
        if (manifest.kind === 'index')
          throw new TareError('unsupported', `Cannot write ${name}: such archives hold no index`);
        this.#entries.push({
          Config: configPath(manifest.config.digest),
          RepoTags: names.length === 0 ? null : names,
          Layers: manifest.layers.map(({ digest }) => layerPath(digest)),
        });
      },
      async [Symbol.asyncDispose]() {},
    };
  }

  /** All images are in: the archive is complete. Errors: what failed before. */
  async commit(): Promise<void> {
    const table = Buffer.from(JSON.stringify(this.#entries));
    await this.#tar.file('manifest.json', table.length, () => once(table));
    await this.#tar.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#output[Symbol.asyncDispose]();
  }
}

function configPath(digest: Digest): string {
  return `${digestHex(digest)}.json`;
}

function layerPath(digest: Digest): string {
  return `${digestHex(digest)}.tar`;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** An archive with one image. See DockerArchiveWriter. */
export function dockerArchiveDestination(
  output: ArchiveOutput,
  names: readonly string[],
  name: string,
  tempDir: string,
): ImageDestination {
  const writer = new DockerArchiveWriter(output, tempDir);
  const image = writer.image(names, name);
  return {
    ...image,
    async commit(top) {
      await image.commit(top);
      await writer.commit();
    },
    async [Symbol.asyncDispose]() {
      await writer[Symbol.asyncDispose]();
    },
  };
}
