/**
 * Fills the code cache (build/code-cache): runs the command lines that people wait for, in one process, and keeps what V8 compiled on the way
 * (docs/decisions/0007-code-cache.md). `tools/node FLAGS tools/warm.ts`, with the launcher's flags; its output is of no interest.
 * Without rights to run a container the cache holds what the others need, and a start is slower.
 */
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Chunks } from '../src/cli/chunks.ts';
import type * as CommandLine from '../src/cli/cli.ts';
import { blobsOf, buildImage, writeLayout } from '../test/support/image.ts';
import { tarOf } from '../test/support/tar.ts';

const packageDir = dirname(import.meta.dirname);
const cacheDir = join(packageDir, 'build', 'code-cache');
const chunks = new Chunks(join(packageDir, 'dist', 'bin'), cacheDir);
const { runCommandLine } = chunks.load('cli.cjs') as typeof CommandLine;

const scratch = mkdtempSync(join(tmpdir(), 'tare-build-'));

/** An image whose one program ends at once: the static helper, which refuses to be called like that. */
function writeImage(layout: string): void {
  const content = readFileSync(join(packageDir, 'build', 'tare-helper'));
  const image = buildImage({ layers: [tarOf([{ name: 'true', mode: 0o755, content }])] });
  writeLayout(layout, blobsOf(image), { warm: image.manifest });
}

function run(...argv: readonly string[]): Promise<number> {
  const places = ['root', 'runroot', 'storage-root', 'storage-runroot'].map(
    (flag) => `--${flag}=${join(scratch, flag)}`,
  );
  return runCommandLine([...places, ...argv], {
    env: { PATH: process.env['PATH'] },
    cwd: scratch,
    launcher: join(packageDir, 'bin', 'tare'),
    packageDir,
    now: () => Date.now(),
  });
}

async function warm(): Promise<void> {
  await run('version');
  await run('ps');
  await run('images');
  if (process.getuid?.() !== 0) return;
  const layout = join(scratch, 'layout');
  writeImage(layout);
  await run('pull', `oci:${layout}:warm`);
  await run('run', '--rm', 'localhost/warm', '/true');
  await run('run', '--rm', 'host:', 'true');
  if ((await run('run', '-d', '--name', 'warm', 'host:', 'sleep', '60')) === 0) {
    await run('exec', 'warm', 'true');
    await run('ps');
    await run('ps', '-a', '--format', '{{.Names}}');
    await run('logs', 'warm');
    await run('inspect', 'warm');
    await run('stop', '-t', '0', 'warm');
    await run('rm', '-f', 'warm');
  }
  await run('images');
  await run('rmi', 'localhost/warm');
}

function save(): void {
  const next = `${cacheDir}.${process.pid}`;
  mkdirSync(next, { recursive: true });
  for (const { name, script } of chunks.loaded) writeFileSync(join(next, `${name}.cache`), script.createCachedData());
  rmSync(cacheDir, { recursive: true, force: true });
  renameSync(next, cacheDir);
}

try {
  await warm();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
save();
process.exit(0);
