/**
 * `npm run pack [-- --node] [DIR]`: makes the packages that people install, in .cache/packages or DIR: `tare`, `@tare/linux-ARCH` for each machine, and with
 * `--node` also `@tare/node-linux-ARCH`, which changes when the pinned Node does; `--arch x64` (or arm64) leaves the other machine out.
 *
 * Nothing is published. Packed twice from one build, each has equal bytes; from another build all files but V8's code cache are equal (docs/how-to/release.md).
 * The C of the other architecture needs Debian's gcc-aarch64-linux-gnu and libc6-dev-arm64-cross.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { identityOf, packageProblems, sizeOf } from './_package-check.ts';
import { libraryFiles } from './_package-library.ts';
import { architectures, readManifest } from './_package-manifest.ts';
import { nativeFiles } from './_package-native.ts';
import { nodeFiles } from './_package-node.ts';
import { type PackedFile, tarballOf } from './_tarball.ts';

const root = dirname(import.meta.dirname);

/** The name npm gives a package's archive. */
function archiveName(name: string, version: string): string {
  return `${name.replace(/^@/, '').replace('/', '-')}-${version}.tgz`;
}

/** Writes the archive of a package and says what it weighs. False when something is wrong with it. */
function write(dir: string, files: readonly PackedFile[]): boolean {
  const { name, version } = identityOf(files);
  const problems = packageProblems(name, files, root);
  for (const problem of problems) console.error(`tare pack: ${name}: ${problem}`);
  const bytes = tarballOf(files);
  const path = join(dir, archiveName(name, version));
  writeFileSync(`${path}.${process.pid}`, bytes);
  renameSync(`${path}.${process.pid}`, path);
  const kilobytes = (size: number): string => `${(size / 1000).toFixed(0)} kB`.padStart(9);
  const sum = createHash('sha256').update(bytes).digest('hex');
  console.log(
    `${archiveName(name, version).padEnd(34)} ${String(files.length).padStart(4)} files ${kilobytes(sizeOf(files))}, packed ${kilobytes(bytes.length)}  sha256 ${sum}`,
  );
  return problems.length === 0;
}

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: { node: { type: 'boolean' }, arch: { type: 'string', multiple: true } },
    allowPositionals: true,
  });
  const into = resolve(positionals[0] ?? join(root, '.cache/packages'));
  const machines = architectures.filter((arch) => values.arch?.includes(arch) ?? true);
  if (positionals.length > 1 || machines.length !== (values.arch ?? machines).length) {
    console.error(`tare pack: which? pack [--node] [--arch ${architectures.join('|')}] [DIR]`);
    return 2;
  }
  const build = spawnSync(process.execPath, [join(root, 'tools/build.ts')], { stdio: 'inherit' });
  if (build.status !== 0) return 1;
  const manifest = readManifest(root);
  mkdirSync(into, { recursive: true });
  // What is left of another version would be published with this one.
  for (const name of readdirSync(into)) if (/^tare-.*\.tgz(\.\d+)?$/.test(name)) rmSync(join(into, name));
  const written = [write(into, await libraryFiles(root, manifest))];
  for (const arch of machines) {
    written.push(write(into, nativeFiles(root, manifest, arch)));
    if (values.node === true) written.push(write(into, nodeFiles(root, manifest, arch)));
  }
  return written.includes(false) ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
