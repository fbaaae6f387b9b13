import { digestAlgorithm, digestHex, type Digest } from '../spec/mod.ts';
import { LAYOUT_FILE, emptyIndex, indexWith } from './_layout-index.ts';
import { TarStream } from './_tar-stream.ts';
import type { ArchiveOutput } from './archive-output.ts';
import type { ImageDestination } from './destination.ts';

/** An OCI layout with one image in a tar archive (oci-archive:), written in one stream. `output` is owned from here. */
export function layoutArchiveDestination(
  output: ArchiveOutput,
  refName: string | undefined,
  name: string,
  tempDir: string,
): ImageDestination {
  const tar = new TarStream(output, tempDir);
  /** Blobs that are in the archive, or on their way into it. */
  const written = new Map<Digest, Promise<void>>();
  let started: Promise<void> | undefined;
  const start = (): Promise<void> =>
    (started ??= (async () => {
      await writeBytes('oci-layout', Buffer.from(LAYOUT_FILE));
      await tar.directory('blobs');
      await tar.directory('blobs/sha256');
    })());
  const pathOf = (digest: Digest): string => `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
  const writeBytes = (path: string, bytes: Uint8Array): Promise<void> =>
    tar.file(path, bytes.byteLength, () => once(bytes));
  const put = async (digest: Digest, sizeBytes: number, open: () => AsyncIterable<Uint8Array>): Promise<void> => {
    await start();
    const known = written.get(digest);
    if (known !== undefined) return known;
    const turn = tar.file(pathOf(digest), sizeBytes, open);
    written.set(digest, turn);
    await turn;
  };
  return {
    name,
    takes: { layers: 'any', manifests: 'any', indexes: true },
    hasBlob: async ({ digest }) => {
      await written.get(digest);
      return written.has(digest);
    },
    putBlob: ({ digest, sizeBytes }, open) => put(digest, sizeBytes, () => open(0)),
    async streamBlob(body, finish) {
      await start();
      await tar.fileOfUnknownSize(body, () => {
        const { digest } = finish();
        if (written.has(digest)) return undefined;
        written.set(digest, Promise.resolve());
        return pathOf(digest);
      });
    },
    putManifest: ({ bytes, digest }) => put(digest, bytes.byteLength, () => once(bytes)),
    async commit(top) {
      await put(top.digest, top.bytes.byteLength, () => once(top.bytes));
      await writeBytes('index.json', indexWith(emptyIndex(), top, refName));
      await tar.end();
    },
    async [Symbol.asyncDispose]() {
      await output[Symbol.asyncDispose]();
    },
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
