import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Missing } from './case.ts';
import type { Lab } from './lab.ts';

/** What the bench uses of the built package; `dist/` need not exist when the bench is type-checked. */
interface Library {
  open(options: ReturnType<Lab['tareRoots']>): Promise<Opened>;
}
interface Opened extends AsyncDisposable {
  run(source: string, argv: readonly string[], options: { network: 'none' }): Promise<Running>;
}
interface Running extends AsyncDisposable {
  wait(): Promise<unknown>;
}

/** How long one container took, in milliseconds. */
export interface RunTimes {
  /** From the call until `wait()` gave the exit. */
  readonly waited: number;
  /** Until it was removed as well. */
  readonly removed: number;
}

/** Opens the package as its users do; gives a function that runs `true` once. Errors: Missing before `npm run build`. */
export async function openLibrary(lab: Lab, stack: AsyncDisposableStack): Promise<() => Promise<RunTimes>> {
  const entry = join(lab.repository, 'dist/mod.js');
  if (!existsSync(entry)) throw new Missing('dist/mod.js is not built (npm run build)');
  const library = (await import(pathToFileURL(entry).href)) as Library;
  const tare = stack.use(await library.open(lab.tareRoots()));
  return async () => {
    const begin = performance.now();
    const container = await tare.run(`host:${lab.rootfs}`, ['true'], { network: 'none' });
    const exit = await container.wait();
    const waited = performance.now() - begin;
    await container[Symbol.asyncDispose]();
    const code = typeof exit === 'object' && exit !== null && 'code' in exit ? exit.code : exit;
    if (code !== 0) throw new Error(`Cannot measure tare.run: true ended with ${JSON.stringify(exit)}`);
    return { waited, removed: performance.now() - begin };
  };
}
