/**
 * The command line's entry: started by the launcher as `node main.cjs ARGS...`. It gathers what the process knows (arguments, environment, folder, clock), and
 * loads the rest with its code cache. Bundled by itself, see chunks.ts.
 */
import { dirname, join } from 'node:path';
import type * as Entry from './entry.ts';
import { bundleFor, Chunks } from './chunks.ts';
import { mappedFiles } from './mapped-files.ts';

const bundleDir = import.meta.dirname;
const packageDir = dirname(dirname(bundleDir));

// Where the launcher found what Node itself needs (native/launcher/package.c): no program that we start is to look there.
delete process.env['LD_LIBRARY_PATH'];

// The launcher puts a byte before what Node would take for its own (native/launcher/launcher.c).
const argv = process.argv.slice(2).map((word) => (word.startsWith('\u0001') ? word.slice(1) : word));

const places = { bundles: bundleDir, caches: join(packageDir, 'build', 'code-cache') };
const { commandLine } = new Chunks(places, bundleFor(argv), mappedFiles).load('entry.cjs') as typeof Entry;

void commandLine
  .run(argv, {
    env: process.env,
    cwd: process.cwd(),
    launcher: join(packageDir, 'bin', 'tare'),
    packageDir,
    now: () => Date.now(),
    // Everything is written by then: nothing that is still open (a socket of a container that keeps running) may hold us.
  })
  .then(commandLine.leave);
