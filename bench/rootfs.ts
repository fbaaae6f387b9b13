import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { Missing } from './case.ts';

/** The busybox image on disk. */
export interface TestImage {
  /** An OCI image layout with one image. */
  readonly layout: string;
  /** Its only layer, uncompressed. */
  readonly tar: string;
}

const applets = ['true', 'sh', 'echo', 'sleep', 'cat', 'ls', 'hostname', 'id'];

/** Makes a root file system of one static busybox. Errors: Missing when `busybox` needs a dynamic linker. */
export function makeRootfs(target: string, busybox: string): void {
  if (!isStatic(readFileSync(busybox)))
    throw new Missing(`${busybox} is not static (Debian: apt-get install busybox-static)`);
  for (const dir of ['bin', 'dev', 'etc', 'proc', 'root', 'run', 'sys', 'tmp', 'var']) {
    mkdirSync(join(target, dir), { recursive: true, mode: 0o755 });
  }
  copyFileSync(busybox, join(target, 'bin/busybox'));
  for (const applet of applets) symlinkSync('busybox', join(target, 'bin', applet));
  writeFileSync(join(target, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(target, 'etc/group'), 'root:x:0:\n');
}

/** True for a 64-bit little-endian ELF file without a PT_INTERP program header. */
function isStatic(file: Buffer): boolean {
  const elf64LittleEndian = file.subarray(0, 6).equals(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]));
  if (!elf64LittleEndian) return false;
  const [offset, size, count] = [Number(file.readBigUInt64LE(32)), file.readUInt16LE(54), file.readUInt16LE(56)];
  const interp = 3;
  return !Array.from({ length: count }, (_, i) => file.readUInt32LE(offset + i * size)).includes(interp);
}

/** Packs `rootfs` as a one-layer image below `target`. */
export async function makeImage(rootfs: string, target: string): Promise<TestImage> {
  const blobs = join(target, 'layout/blobs/sha256');
  const tar = join(target, 'layer.tar');
  mkdirSync(blobs, { recursive: true });
  await promisify(execFile)('tar', ['--numeric-owner', '--sort=name', '--mtime=@0', '-C', rootfs, '-cf', tar, '.']);

  const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  const put = (mediaType: string, bytes: Uint8Array): { mediaType: string; digest: string; size: number } => {
    const hex = hash(bytes);
    writeFileSync(join(blobs, hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const putJson = (mediaType: string, value: unknown): ReturnType<typeof put> =>
    put(mediaType, Buffer.from(JSON.stringify(value)));

  const plain = readFileSync(tar);
  const layer = put('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(plain));
  const config = putJson('application/vnd.oci.image.config.v1+json', {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Env: ['PATH=/bin'], Cmd: ['sh'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${hash(plain)}`] },
  });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = putJson(mediaType, { schemaVersion: 2, mediaType, config, layers: [layer] });
  writeFileSync(join(target, 'layout/oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(target, 'layout/index.json'), JSON.stringify({ schemaVersion: 2, manifests: [manifest] }));
  return { layout: join(target, 'layout'), tar };
}
