import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { Missing } from './case.ts';

/** Like the images people wait for: 940 MB and 43,600 files unpacked, three layers. */
const FILES = 43_600;
const BYTES = 940e6;
/** Where the layers end, as shares of the bytes. */
const SHARES = [0.45, 0.8, 1] as const;
const SMALL_BYTES = 64 * 1024;
const LARGE_BYTES = 40e6;

export interface LargeImage {
  /** An OCI image layout with one image named `large`. */
  readonly layout: string;
  /** Compressed, bottom first. */
  readonly layers: readonly string[];
}

interface Chosen {
  readonly path: string;
  readonly sizeBytes: number;
}

/**
 * An image of this machine's own files, made once and kept in `dir` (the checkout's cache folder): every tool gets the same bytes. Errors: Missing on a machine with
 * too few files below /usr.
 */
export async function largeImage(dir: string): Promise<LargeImage> {
  const layout = join(dir, 'layout');
  if (!existsSync(join(layout, 'index.json'))) {
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
    await make(dir, layout);
  }
  const layers = readdirSync(join(layout, 'blobs/sha256'))
    .map((name) => join(layout, 'blobs/sha256', name))
    .filter((path) => statSync(path).size > 1e6);
  return { layout, layers };
}

async function make(dir: string, layout: string): Promise<void> {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const blobs = join(layout, 'blobs/sha256');
  const put = (type: string, value: unknown): object => {
    const bytes = Buffer.from(JSON.stringify(value));
    const hex = createHash('sha256').update(bytes).digest('hex');
    writeFileSync(join(blobs, hex), bytes);
    return { mediaType: type, digest: `sha256:${hex}`, size: bytes.length };
  };
  const layers: object[] = [];
  const diffIds: string[] = [];
  for (const files of divide(choose())) {
    const { digest, diffId, sizeBytes } = await pack(dir, blobs, files);
    layers.push({ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: sizeBytes });
    diffIds.push(diffId);
  }
  const config = put('application/vnd.oci.image.config.v1+json', {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: diffIds },
  });
  const manifest = put(mediaType, { schemaVersion: 2, mediaType, config, layers });
  writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const annotations = { 'org.opencontainers.image.ref.name': 'large' };
  writeFileSync(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
}

/** Small files evenly from all there are, then large ones until the sum is right. */
function choose(): Chosen[] {
  const all = ['/usr/bin', '/usr/include', '/usr/lib', '/usr/share'].flatMap((root) => filesBelow(root));
  const small = all.filter(({ sizeBytes }) => sizeBytes <= SMALL_BYTES);
  const wanted = Math.floor(FILES * 0.94);
  if (small.length < wanted)
    throw new Missing(`only ${small.length} small files below /usr: the large image needs ${wanted}`);
  const chosen = Array.from(
    { length: wanted },
    (_, index) => small[Math.floor((index * small.length) / wanted)] as Chosen,
  ); // in bounds
  let bytes = chosen.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  for (const file of all) {
    if (file.sizeBytes <= SMALL_BYTES || file.sizeBytes > LARGE_BYTES) continue;
    if (chosen.length === FILES || bytes + file.sizeBytes > BYTES) continue;
    chosen.push(file);
    bytes += file.sizeBytes;
  }
  return chosen.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Regular files in a fixed order. Symbolic links are not followed, which `readdir`'s own recursion does, round and round. */
function filesBelow(root: string): Chosen[] {
  return readdirSync(root, { withFileTypes: true })
    .sort((left, right) => (left.name < right.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(root, entry.name);
      if (entry.isDirectory()) return filesBelow(path);
      return entry.isFile() ? [{ path, sizeBytes: lstatSync(path).size }] : [];
    });
}

function divide(files: readonly Chosen[]): Chosen[][] {
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const layers: Chosen[][] = SHARES.map(() => []);
  let bytes = 0;
  for (const file of files) {
    const index = SHARES.findIndex((share) => bytes <= share * total);
    layers[index]?.push(file);
    bytes += file.sizeBytes;
  }
  return layers;
}

/** One layer: a tar by tar(1), gzip level 6. */
async function pack(
  dir: string,
  blobs: string,
  files: readonly Chosen[],
): Promise<{ digest: string; diffId: string; sizeBytes: number }> {
  const list = join(dir, 'list');
  writeFileSync(list, files.map(({ path }) => path.slice(1)).join('\0'));
  const flags = ['-C', '/', '--null', '--no-recursion', '-T', list, '--owner=0', '--group=0', '--hard-dereference'];
  const tar = spawn('tar', [...flags, '-cf', '-'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(tar, 'close');
  const plain = createHash('sha256');
  tar.stdout.on('data', (chunk: Buffer) => plain.update(chunk));
  const path = join(dir, 'layer.tar.gz');
  await pipeline(tar.stdout, createGzip({ level: 6 }), createWriteStream(path));
  const [code] = (await ended) as [number];
  if (code !== 0) throw new Error(`Cannot pack the large image: tar ended with ${code}`);
  const packed = createHash('sha256');
  for await (const chunk of createReadStream(path)) packed.update(chunk as Buffer);
  const hex = packed.digest('hex');
  const sizeBytes = statSync(path).size;
  renameSync(path, join(blobs, hex));
  return { digest: `sha256:${hex}`, diffId: `sha256:${plain.digest('hex')}`, sizeBytes };
}
