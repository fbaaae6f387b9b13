/**
 * Fills the code cache (build/code-cache): runs the command lines that people wait for, and keeps what V8 compiled on the way (docs/decisions/0007-code-cache.md).
 * `tools/node FLAGS tools/warm.ts`, with the launcher's flags; its output is of no interest.
 *
 * One process per cache: `warm.ts` starts `warm.ts NAME SCRATCH` for each verb that has its own, and for all the others. Without rights to run a container a cache holds
 * what the failure needs, and a start is slower.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { bundleNames, Chunks, isCacheable } from '../src/cli/chunks.ts';
import type * as Entry from '../src/cli/entry.ts';
import { blobsOf, buildImage, writeLayout } from '../test/support/image.ts';
import { tarOf } from '../test/support/tar.ts';

const packageDir = dirname(import.meta.dirname);
const cacheDir = join(packageDir, 'build', 'code-cache');

/** What each cache is made of. `warm` is a container that runs, `localhost/warm` an image. */
const scripts: Readonly<Record<string, readonly (readonly string[])[]>> = {
  run: [
    ['run', '--rm', 'host:', 'true'],
    ['run', '--rm', 'localhost/warm', '/true'],
    ['run', '--rm', '--uidmap', '0:1000000:65536', 'localhost/warm', '/true'],
    // Where there are no ids for it, it gets as far as that.
    ['run', '--rm', '--userns', 'auto', 'localhost/warm', '/true'],
    // It removes itself, also when nobody is left to do it.
    ['run', '-d', '--rm', '--name', 'warm', 'host:', 'sleep', '20'],
  ],

  exec: [['exec', 'warm', 'true']],
  ps: [['ps'], ['ps', '-a', '--format', '{{.Names}}']],
  all: [
    ['version'],
    ['pull', 'oci:layout:warm'],
    ['images'],
    ['logs', 'warm'],
    ['inspect', 'warm'],
    ['stop', '-t', '0', 'warm'],
    ['create', '--name', 'cold', 'host:', 'true'],
    ['rm', 'cold'],
    ['rmi', 'localhost/warm'],
  ],
};

/** Besides, in a network namespace of its own, so that the machine's stays as it is. */
const networkScripts: typeof scripts = { run: [['run', '--rm', '-p', '8080:80', 'host:', 'true']] };
const ALONE = 'TARE_WARM_ALONE';

/** An image whose one program ends at once: the static helper, which refuses to be called like that. */
function writeImage(layout: string): void {
  const content = readFileSync(join(packageDir, 'build', 'tare-helper'));
  const image = buildImage({ layers: [tarOf([{ name: 'true', mode: 0o755, content }])] });
  writeLayout(layout, blobsOf(image), { warm: image.manifest });
}

/** Runs command lines in this process and writes the cache. */
async function fill(name: string, scratch: string, lines: readonly (readonly string[])[]): Promise<void> {
  const chunks = new Chunks({ bundles: join(packageDir, 'dist', 'bin'), caches: join(scratch, 'none') }, name);
  const { commandLine } = chunks.load('entry.cjs') as typeof Entry;
  const places = ['root', 'runroot', 'storage-root', 'storage-runroot'].map(
    (flag) => `--${flag}=${join(scratch, flag)}`,
  );
  // The machine's network stays as it is.
  places.push('--default-network=none');
  for (const line of lines) {
    await commandLine.run([...places, ...line], {
      env: { PATH: process.env['PATH'] },
      cwd: scratch,
      launcher: join(packageDir, 'bin', 'tare'),
      packageDir,
      now: () => Date.now(),
    });
  }
  const next = join(cacheDir, `.${name}`);
  mkdirSync(next, { recursive: true });
  for (const { name: file, script } of chunks.loaded)
    if (isCacheable(file)) writeFileSync(join(next, `${file}.cache`), script.createCachedData());
  renameSync(next, join(cacheDir, name));
  process.exit(0);
}

function fillAll(): void {
  const scratch = mkdtempSync(join(tmpdir(), 'tare-build-'));
  try {
    rmSync(cacheDir, { recursive: true, force: true });
    writeImage(join(scratch, 'layout'));
    // `run` needs the image, `all` removes it: its pull finds all layers there.
    const again = (name: string, ...line: string[]): boolean =>
      start([process.execPath, ...process.execArgv, import.meta.filename, name, scratch, ...line]);
    const alone = (name: string): boolean =>
      networkScripts[name] !== undefined &&
      start(['unshare', '-n', process.execPath, ...process.execArgv, import.meta.filename, name, scratch], {
        [ALONE]: '1',
      });
    again('all', 'pull', `oci:${join(scratch, 'layout')}:warm`);
    const filled = bundleNames.map((name) => alone(name) || again(name));
    if (filled.includes(false)) process.exitCode = 1;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function start([program = '', ...args]: readonly string[], env: NodeJS.ProcessEnv = {}): boolean {
  const options = { stdio: 'ignore', timeout: 20_000, env: { ...process.env, ...env } } as const;
  return spawnSync(program, args, options).status === 0;
}

const [name, scratch, ...line] = process.argv.slice(2);
if (name === undefined || scratch === undefined) fillAll();
else {
  rmSync(join(cacheDir, name), { recursive: true, force: true });
  const more = process.env[ALONE] === undefined ? [] : (networkScripts[name] ?? []);
  await fill(name, scratch, line.length > 0 ? [line] : [...(scripts[name] ?? []), ...more]);
}
