import { homedir } from 'node:os';
import type { PackedFile } from './_tarball.ts';

/** As much may a package weigh, unpacked: the first that its name matches. */
const limits: readonly (readonly [name: RegExp, maxBytes: number])[] = [
  [/^tare$/, 4_000_000],
  [/^@tare\/linux-/, 14_000_000],
  [/^@tare\/node-/, 200_000_000],
];

/** What is wrong with the contents of a package. */
export function packageProblems(name: string, files: readonly PackedFile[], root: string): string[] {
  const problems: string[] = [];
  const paths = new Set<string>();
  for (const { path, content } of files) {
    if (paths.has(path)) problems.push(`${path} is there twice`);
    paths.add(path);
    if (/\.(test|suite)\.|(?<!\.d)\.ts$|\.map$/.test(path)) problems.push(`${path} is of no use to who installs it`);
    // Node is somebody else's build.
    if (path === 'bin/node') continue;
    for (const place of [root, `${homedir()}/.`, '/tmp/tare-build-'])
      if (content.includes(place)) problems.push(`${path} names ${place}, a place on this machine`);
  }
  const max = limits.find(([pattern]) => pattern.test(name))?.[1] ?? 0;
  const size = sizeOf(files);
  if (size > max) problems.push(`it has ${size} bytes, more than ${max}`);
  if (identityOf(files).scripts !== undefined)
    problems.push('package.json has scripts: nothing of ours runs when it is installed');
  return problems;
}

/** Bytes of all files, unpacked. */
export function sizeOf(files: readonly PackedFile[]): number {
  return files.reduce((sum, { content }) => sum + content.length, 0);
}

/** What its package.json says of itself. */
export function identityOf(files: readonly PackedFile[]): { name: string; version: string; scripts?: object } {
  const manifest = files.find(({ path }) => path === 'package.json')?.content.toString() ?? '{}';
  return JSON.parse(manifest) as { name: string; version: string; scripts?: object };
}
