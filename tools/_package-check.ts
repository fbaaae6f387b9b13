import { homedir } from 'node:os';
import type { PackedFile } from './_tarball.ts';

/** A package may weigh as much, unpacked. */
const MAX_BYTES: Readonly<Record<string, number>> = { tare: 4_000_000, native: 8_000_000 };

/** What is wrong with the contents of a package. */
export function packageProblems(name: string, files: readonly PackedFile[], root: string): string[] {
  const problems: string[] = [];
  const paths = new Set<string>();
  for (const { path, content } of files) {
    if (paths.has(path)) problems.push(`${path} is there twice`);
    paths.add(path);
    if (/\.(test|suite)\.|(?<!\.d)\.ts$|\.map$/.test(path)) problems.push(`${path} is of no use to who installs it`);
    for (const place of [root, `${homedir()}/.`, '/tmp/tare-build-'])
      if (content.includes(place)) problems.push(`${path} names ${place}, a place on this machine`);
  }
  const max = MAX_BYTES[name] ?? MAX_BYTES['native'] ?? 0;
  const size = sizeOf(files);
  if (size > max) problems.push(`it has ${size} bytes, more than ${max}`);
  const manifest = files.find(({ path }) => path === 'package.json')?.content.toString() ?? '{}';
  const scripts = (JSON.parse(manifest) as { scripts?: object }).scripts;
  if (scripts !== undefined) problems.push('package.json has scripts: nothing runs when it is installed');
  return problems;
}

/** Bytes of all files, unpacked. */
export function sizeOf(files: readonly PackedFile[]): number {
  return files.reduce((sum, { content }) => sum + content.length, 0);
}
