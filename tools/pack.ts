/**
 * Makes the packages that people install, in .cache/packages (or the folder given): `tare` and `@tare/linux-ARCH` for each machine. `npm run pack`.
 *
 * Nothing is published. Packed twice from one build, each has equal bytes; from another build all files but V8's code cache are equal (docs/how-to/release.md).
 * The C of the other architecture needs Debian's gcc-aarch64-linux-gnu and libc6-dev-arm64-cross.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { packageProblems, sizeOf } from './_package-check.ts';
import { libraryFiles } from './_package-library.ts';
import { architectures, nativePackage, readManifest } from './_package-manifest.ts';
import { nativeFiles } from './_package-native.ts';
import { type PackedFile, tarballOf } from './_tarball.ts';

const root = dirname(import.meta.dirname);

/** The name npm gives a package's archive. */
function archiveName(name: string, version: string): string {
  return `${name.replace(/^@/, '').replace('/', '-')}-${version}.tgz`;
}

/** Writes the archive of a package and says what it weighs. False when something is wrong with it. */
function write(dir: string, name: string, version: string, files: readonly PackedFile[]): boolean {
  const problems = packageProblems(name, files, root);
  for (const problem of problems) console.error(`tare pack: ${name}: ${problem}`);
  const bytes = tarballOf(files);
  const path = join(dir, archiveName(name, version));
  writeFileSync(`${path}.${process.pid}`, bytes);
  renameSync(`${path}.${process.pid}`, path);
  const kilobytes = (size: number): string => `${(size / 1000).toFixed(0)} kB`.padStart(8);
  const sum = createHash('sha256').update(bytes).digest('hex');
  console.log(
    `${archiveName(name, version).padEnd(30)} ${String(files.length).padStart(4)} files ${kilobytes(sizeOf(files))}, packed ${kilobytes(bytes.length)}  sha256 ${sum}`,
  );
  return problems.length === 0;
}

async function main(into: string): Promise<number> {
  const build = spawnSync(process.execPath, [join(root, 'tools/build.ts')], { stdio: 'inherit' });
  if (build.status !== 0) return 1;
  const manifest = readManifest(root);
  const { version } = manifest.shared;
  mkdirSync(into, { recursive: true });
  for (const name of readdirSync(into)) if (/\.tgz(\.\d+)?$/.test(name)) rmSync(join(into, name));
  const written = [
    write(into, 'tare', version, await libraryFiles(root, manifest)),
    ...architectures.map((arch) => write(into, nativePackage(arch), version, nativeFiles(root, manifest, arch))),
  ];
  return written.includes(false) ? 1 : 0;
}

process.exitCode = await main(resolve(process.argv[2] ?? join(root, '.cache/packages')));
