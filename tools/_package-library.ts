/** The package `tare`: the library, its types, and the script that starts the command of the package for this machine. */
import { readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { architectures, type Manifest, nativePackage } from './_package-manifest.ts';
import type { PackedFile } from './_tarball.ts';

/** What a program may import: `.` is dist/mod.js. */
function publicModules(manifest: Manifest): { subPath: string; module: string; types: string }[] {
  return Object.entries(manifest.exports).flatMap(([subPath, target]) =>
    typeof target === 'string' ? [] : [{ subPath, module: target.default.slice(2), types: target.types.slice(2) }],
  );
}

/** Paths (relative to `root`) of what `entries` import, statically or not, and what that imports. Modules of other packages are none of it. */
export function moduleClosure(root: string, entries: readonly string[]): string[] {
  const found = new Set<string>();
  const visit = (path: string): void => {
    if (found.has(path)) return;
    found.add(path);
    const text = readFileSync(join(root, path), 'utf8');
    for (const [, id = ''] of text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g)) {
      const target = posix.join(posix.dirname(path), id);
      // Declarations name sources: TypeScript looks for their declarations.
      visit(path.endsWith('.d.ts') ? target.replace(/(?<!\.d)\.[tj]s$/, '.d.ts') : target);
    }
  };
  for (const entry of entries) visit(entry);
  return [...found].sort();
}

/**
 * An entry that any Node can read: what is behind it uses syntax of Node 24, and an older one would name a line of ours instead of itself. It exports by name
 * what `module` does; both are one module to whoever imports a neighbour.
 */
export function guardedEntry(module: string, names: readonly string[]): string {
  return `// Written by tools/pack.ts. Older versions of Node cannot parse what is behind this file.
import { createRequire } from 'node:module';

if (Number(process.versions.node.split('.')[0]) < 24)
  throw new Error(
    \`Cannot load tare: the library needs Node 24 or newer, this is Node \${process.versions.node}; install a newer Node (the command 'tare' brings its own)\`,
  );
export const { ${names.join(', ')} } = createRequire(import.meta.url)('../${module}');
`;
}

/** Files of the package at `root`, which has been built. */
export async function libraryFiles(root: string, manifest: Manifest): Promise<PackedFile[]> {
  const modules = publicModules(manifest);
  const file = (path: string, content = readFileSync(join(root, path)), executable = false): PackedFile => ({
    path,
    content,
    executable,
  });
  const exports: Record<string, unknown> = { ...manifest.exports };
  const entries: PackedFile[] = [];
  for (const { subPath, module, types } of modules) {
    const path = `entry/${subPath === '.' ? 'mod' : subPath.slice(2)}.js`;
    const names = Object.keys((await import(join(root, module))) as object).sort();
    entries.push(file(path, Buffer.from(guardedEntry(module, names))));
    exports[subPath] = { types: `./${types}`, default: `./${path}` };
  }
  const code = moduleClosure(
    root,
    modules.map(({ module }) => module),
  );
  const types = moduleClosure(
    root,
    modules.map(({ types: declarations }) => declarations),
  );
  const packageJson = {
    name: 'tare',
    ...manifest.shared,
    description: manifest.description,
    keywords: ['container', 'docker', 'oci', 'podman', 'runtime', 'sandbox'],
    os: ['linux'],
    type: 'module',
    bin: { tare: 'bin/tare' },
    exports,
    engines: manifest.engines,
    dependencies: manifest.dependencies,
    optionalDependencies: Object.fromEntries(
      architectures.map((arch) => [nativePackage(arch), manifest.shared.version]),
    ),
    publishConfig: { access: 'public' },
  };
  return [
    file('package.json', Buffer.from(`${JSON.stringify(packageJson, undefined, 2)}\n`)),
    ...['README.md', 'LICENSE', 'CHANGELOG.md'].map((path) => file(path)),
    file('bin/tare', readFileSync(join(root, 'native/launcher/tare.sh')), true),
    ...entries,
    ...[...code, ...types].map((path) => file(path)),
  ];
}
