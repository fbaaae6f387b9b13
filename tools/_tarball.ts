import { gzipSync } from 'node:zlib';
import { TAR_END, tarHeader, tarPadding } from '../src/archive/tar-writer.ts';

/** A file of a package; its path is relative to the package. */
export interface PackedFile {
  readonly path: string;
  readonly content: Buffer;
  readonly executable: boolean;
}

/** The time that npm gives every file: nobody's clock is in the archive. */
const MTIME_SECONDS = Date.UTC(1985, 9, 26, 8, 15) / 1000;

/** What `npm publish` takes and `npm install` reads: equal files give equal bytes (with one Node, whose zlib this is). */
export function tarballOf(files: readonly PackedFile[]): Buffer {
  const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const parts = sorted.flatMap(({ path, content, executable }) => [
    tarHeader({
      path: `package/${path}`,
      kind: 'file',
      mode: executable ? 0o755 : 0o644,
      mtimeSeconds: MTIME_SECONDS,
      sizeBytes: content.length,
    }),
    content,
    tarPadding(content.length),
  ]);
  return gzipSync(Buffer.concat([...parts, TAR_END]), { level: 6 });
}
