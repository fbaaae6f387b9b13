/**
 * The package of a machine, `@tare/linux-ARCH`: the command line as a whole (launcher, bundle, helper, addon, code cache), laid out as in a checkout, so that the
 * launcher finds its parts beside itself. The library takes its native parts from it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Architecture, type Manifest, nativePackage, nodePackage } from './_package-manifest.ts';
import { filesBelow } from './_problem.ts';
import type { PackedFile } from './_tarball.ts';

const readme = (name: string): string => `# ${name}

The command line and the native parts of [tare](https://www.npmjs.com/package/tare) for this kind of machine. Install \`tare\`: it depends on this package.

\`bin/tare\` is the program itself. A symbolic link to it, made by hand, starts a millisecond sooner than the \`tare\` that npm links, which is a shell script that looks
for this package.

\`bin/tare\`, \`build/tare-helper\`, \`build/tare-resolver\` and \`build/tare-network\` contain parts of the GNU C library (LGPL 2.1 or later), \`dist/bin\` contains smol-toml (BSD-3-Clause): see THIRD-PARTY.md.
`;

/** Licences of what is inside and not ours. */
function thirdParty(root: string): string {
  const licence = readFileSync(join(root, 'node_modules/smol-toml/LICENSE'), 'utf8').trim();
  return `# Parts of others

## GNU C library, in bin/tare, build/tare-helper, build/tare-resolver and build/tare-network
LGPL 2.1 or later, © Free Software Foundation and others. The programs are linked statically. Their sources are in \`native/\` of Tare's source tree; \`npm run build\` there links
them with the C library of the machine it runs on, whichever that is.

## smol-toml, in dist/bin
${licence}
`;
}

/** Builds the native parts for `arch` and returns the folder they are in. Errors: exits with the compiler's message. */
function buildFor(root: string, arch: Architecture): string {
  const dir = join(root, '.cache/native', `linux-${arch}`);
  const build = spawnSync(
    process.execPath,
    [join(root, 'tools/build.ts'), '--native', '--target', arch, '--into', dir],
    { stdio: 'inherit' },
  );
  if (build.status !== 0) throw new Error(`cannot build the native parts for ${arch}`);
  return dir;
}

/** Files of the package of `arch`. */
export function nativeFiles(root: string, manifest: Manifest, arch: Architecture): PackedFile[] {
  const name = nativePackage(arch);
  const node = nodePackage(arch);
  const native = buildFor(root, arch);
  const text = (path: string, content: string): PackedFile => ({
    path,
    content: Buffer.from(content),
    executable: false,
  });
  const copy = (from: string, path: string, executable = false): PackedFile => ({
    path,
    content: readFileSync(join(from, path)),
    executable,
  });
  const packageJson = {
    name,
    ...manifest.shared,
    description: `The command line and native parts of tare for Linux on ${arch}`,
    os: ['linux'],
    cpu: [arch],
    libc: ['glibc'],
    dependencies: { [`@tare/${node}`]: manifest.nodes[node] },
    preferUnplugged: true,
    publishConfig: { access: 'public' },
  };
  // A cache is V8's for one machine: of another one the first starts are slower, not wrong (docs/decisions/0017-packages.md).
  const cacheDir = 'build/code-cache';
  const cache = arch === process.arch && existsSync(join(root, cacheDir)) ? below(root, cacheDir) : [];
  return [
    text('package.json', `${JSON.stringify(packageJson, undefined, 2)}\n`),
    text('README.md', readme(name)),
    text('THIRD-PARTY.md', thirdParty(root)),
    copy(root, 'LICENSE'),
    copy(native, 'bin/tare', true),
    copy(native, 'build/tare-helper', true),
    copy(native, 'build/tare-resolver', true),
    copy(native, 'build/tare-network', true),
    copy(native, 'build/tare.node'),
    ...[...below(root, 'dist/bin'), ...cache].map((path) => copy(root, path)),
  ];
}

/** `filesBelow` a folder that is itself generated. */
function below(root: string, dir: string): string[] {
  return filesBelow(join(root, dir), '', () => true).map((path) => `${dir}/${path}`);
}
