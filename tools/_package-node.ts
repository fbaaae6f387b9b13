/**
 * `@tare/node-linux-ARCH`: the pinned Node and what it needs to start. It is the program of the package `node-linux-ARCH`, byte for byte, without that package's `bin`: npm
 * would link it as `node_modules/.bin/node`, and the scripts of every project that depends on tare would run in our Node instead of theirs.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { compilerOf } from './_compiler.ts';
import { type Architecture, type Manifest, nodePackage } from './_package-manifest.ts';
import type { PackedFile } from './_tarball.ts';

/**
 * The unpacked `node-linux-ARCH` of package-lock.json: the checkout's own, or for another machine fetched to .cache (npm compares it with the lock file).
 * Errors: npm's.
 */
export function nodeDir(root: string, manifest: Manifest, arch: Architecture): string {
  const name = nodePackage(arch);
  const own = join(root, 'node_modules', name);
  if (existsSync(join(own, 'bin/node'))) return own;
  const dir = join(root, '.cache', `${name}-${manifest.nodes[name]}`);
  if (existsSync(dir)) return join(dir, 'node_modules', name);
  const next = `${dir}.${process.pid}`;
  rmSync(next, { recursive: true, force: true });
  mkdirSync(next, { recursive: true });
  try {
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(root, file), join(next, file));
    const flags = [
      '--loglevel=error',
      '--omit=dev',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
      '--os=linux',
    ];
    const npm = spawnSync('npm', ['ci', ...flags, `--cpu=${arch}`], {
      cwd: next,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    if (npm.status !== 0) throw new Error(`cannot fetch ${name}: see npm's message above`);
    renameSync(next, dir);
  } finally {
    rmSync(next, { recursive: true, force: true });
  }
  return join(dir, 'node_modules', name);
}

/**
 * libatomic.so.1 as far as Node asks for it: part of Node's package because systems without a C compiler have none (Node 24 did without), and the loader finds no
 * other way to say so than a message of its own. The launcher points to it where the system's is missing.
 */
function atomicLibrary(root: string, arch: Architecture): Buffer {
  const dir = join(root, '.cache/native', `linux-${arch}`, 'lib');
  const path = join(dir, 'libatomic.so.1');
  mkdirSync(dir, { recursive: true });
  const link = [
    '-Wl,-soname,libatomic.so.1',
    `-Wl,--version-script=${join(root, 'native/atomic/atomic.map')}`,
    '-Wl,--undefined=__atomic_compare_exchange',
    '-Wl,--gc-sections',
    '-l:libatomic.a',
  ];
  const partial = `${path}.${process.pid}`;
  const flags = ['-shared', '-fPIC', '-s', '-nostartfiles', '-o', partial, ...link];
  if (spawnSync(compilerOf(arch), flags, { stdio: 'inherit' }).status !== 0)
    throw new Error(`cannot link libatomic for ${arch}: see the linker's message above`);
  renameSync(partial, path);
  return readFileSync(path);
}

/** Files of the package of `arch`. */
export function nodeFiles(root: string, manifest: Manifest, arch: Architecture): PackedFile[] {
  const dir = nodeDir(root, manifest, arch);
  const name = nodePackage(arch);
  const packageJson = {
    name: `@tare/${name}`,
    version: manifest.nodes[name],
    license: 'MIT',
    description: `Node.js for tare on Linux ${arch}: the program only, and no command named node`,
    os: ['linux'],
    cpu: [arch],
    libc: ['glibc'],
    preferUnplugged: true,
    publishConfig: { access: 'public' },
  };
  return [
    {
      path: 'package.json',
      content: Buffer.from(`${JSON.stringify(packageJson, undefined, 2)}\n`),
      executable: false,
    },
    {
      path: 'README.md',
      content: Buffer.from(
        `# @tare/${name}\n\nThe \`bin/node\` of [${name}](https://www.npmjs.com/package/${name}) ${manifest.nodes[name]}, unchanged, for the command of [tare](https://www.npmjs.com/package/tare).

\`lib/libatomic.so.1\` is used where the system has no libatomic. It is the function \`__atomic_compare_exchange\` of GCC's libatomic (GPL 3.0 with the GCC Runtime Library
Exception), as Debian's gcc-12 has it.\n`,
      ),
      executable: false,
    },
    { path: 'LICENSE', content: readFileSync(join(dir, 'LICENSE')), executable: false },
    { path: 'bin/node', content: readFileSync(join(dir, 'bin/node')), executable: true },
    { path: 'lib/libatomic.so.1', content: atomicLibrary(root, arch), executable: false },
  ];
}
