/**
 * The command line's entry: started by the launcher as `node main.js ARGS...`. It does two things before any other module is read: it turns the
 * compile cache on, and it gathers what the process knows (arguments, environment, folder, clock). No top-level await: the bundle may be CommonJS.
 */
import { enableCompileCache } from 'node:module';
import { dirname, join } from 'node:path';
import type { Host } from './context.ts';

const packageDir = dirname(dirname(import.meta.dirname));
// In a folder we may not write to it stays as it is: no error.
enableCompileCache(join(packageDir, 'build', 'compile-cache'));

const host: Host = {
  env: process.env,
  cwd: process.cwd(),
  launcher: join(packageDir, 'bin', 'tare'),
  packageDir,
  now: () => Date.now(),
};

void import('./cli.ts')
  .then(({ runCommandLine }) => runCommandLine(process.argv.slice(2), host))
  // Everything is written by now: nothing that is still open (a socket of a container that keeps running) may hold us.
  .then((code) => process.exit(code));
