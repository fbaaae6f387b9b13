import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** A file of a package's archive, or undefined. The archive is ours: names fit ustar. */
export function readPacked(archive: Buffer, path: string): Buffer | undefined {
  return listPacked(archive).find((file) => file.path === path)?.content;
}

/** A file in an archive, its path below the package. */
export interface PackedEntry {
  readonly path: string;
  readonly mode: number;
  readonly content: Buffer;
}

/** All files of a package's archive. */
export function listPacked(archive: Buffer): PackedEntry[] {
  const tar = gunzipSync(archive);
  const entries: PackedEntry[] = [];
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const field = (offset: number, length: number): string =>
      tar
        .subarray(at + offset, at + offset + length)
        .toString('latin1')
        .replace(/\0.*$/s, '');
    const size = Number.parseInt(field(124, 12), 8);
    const path = [field(345, 155), field(0, 100)].filter((part) => part !== '').join('/');
    const content = tar.subarray(at + 512, at + 512 + size);
    entries.push({ path: path.replace(/^package\//, ''), mode: Number.parseInt(field(100, 8), 8), content });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return entries;
}

/** An npm registry that has the packages of these archives, as far as `npm install` asks. */
export async function startRegistry(archives: readonly string[]): Promise<{ url: string } & AsyncDisposable> {
  const documents = new Map<string, string>();
  const files = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '').replace(/\?.*$/, '');
    const body = files.get(path) ?? documents.get(path);
    response.statusCode = body === undefined ? 404 : 200;
    response.setHeader('content-type', files.has(path) ? 'application/octet-stream' : 'application/json');
    response.end(body ?? '{"error":"not found"}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  for (const archive of archives) {
    const bytes = readFileSync(archive);
    const manifest = JSON.parse(readPacked(bytes, 'package.json')?.toString() ?? '') as {
      name: string;
      version: string;
    };
    const { name, version } = manifest;
    const file = `/${name}/-/${name.replace(/.*\//, '')}-${version}.tgz`;
    const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
    files.set(file, bytes);
    documents.set(
      `/${name}`,
      JSON.stringify({
        name,
        'dist-tags': { latest: version },
        versions: { [version]: { ...manifest, dist: { tarball: `${url}${file}`, integrity } } },
      }),
    );
  }
  return {
    url,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
