import { isDeepStrictEqual } from 'node:util';
import { mediaTypes } from '../spec/mod.ts';
import type { ManifestToPut } from './destination.ts';
import { REF_NAME } from './layout-source.ts';

/** The file that says a directory or archive is an OCI layout. */
export const LAYOUT_FILE = '{"imageLayoutVersion":"1.0.0"}';

/** An index.json without images. */
export function emptyIndex(): Buffer {
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }));
}

/** An index.json (checked by the caller) with an image added: under `refName`, which moves to it; without a name, once. Everything else stays as it is. */
export function indexWith(index: Uint8Array, top: ManifestToPut, refName: string | undefined): Buffer {
  const document = JSON.parse(Buffer.from(index).toString()) as { manifests: unknown[] };
  const entry = {
    mediaType: top.mediaType,
    digest: top.digest,
    size: top.bytes.byteLength,
    ...(refName !== undefined && { annotations: { [REF_NAME]: refName } }),
  };
  const others = document.manifests.filter((other) =>
    refName === undefined ? !isDeepStrictEqual(other, entry) : refNameOf(other) !== refName,
  );
  return Buffer.from(JSON.stringify({ ...document, manifests: [...others, entry] }));
}

function refNameOf(entry: unknown): unknown {
  const { annotations } = entry as { readonly annotations?: Readonly<Record<string, unknown>> | null };
  return annotations?.[REF_NAME];
}
