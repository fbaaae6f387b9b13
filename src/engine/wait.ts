import { watch, existsSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { type ExitRecord, isServed, readExit, readLifeState } from '../runtime/state.ts';
import type { Engine } from './engine.ts';
import { resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';
import { containerDir } from './record.ts';

export interface WaitOptions {
  /** Default `not-running`. `removed` also waits until the container is gone. */
  readonly condition?: 'not-running' | 'removed';
  readonly signal?: AbortSignal;
}

const RECHECK_MS = 2000;

/**
 * Waits until a container has ended and returns its exit record; undefined when it vanished before one could be read. One that waits for its start is waited for; when that is given
 * up, the record is that of the run before, or there is none.
 * A container whose monitor died is collected on the way. Errors: not-found, cancelled.
 */
export async function waitContainer(
  engine: Engine,
  nameOrId: string,
  options: WaitOptions = {},
): Promise<ExitRecord | undefined> {
  const id = resolveContainer(engine, nameOrId);
  const dir = containerDir(engine, id);
  let wake: () => void = () => {};
  let changed = new Promise<void>((resolve) => (wake = resolve));
  const onAbort = (): void => wake();
  options.signal?.addEventListener('abort', onAbort);
  using watcher = watchDirectory(dir, () => wake());
  let exit: ExitRecord | undefined;
  try {
    for (;;) {
      const state = readLifeState(dir);
      exit = readExit(dir) ?? exit;
      if (state === undefined && !existsSync(dir)) return exit;
      if (state?.held === false && isServed(state.phase)) await reconcile(engine, id);
      else if (options.condition !== 'removed' && (state?.phase === 'exited' || state?.phase === 'created'))
        return exit;
      if (options.signal?.aborted === true) throw new TareError('cancelled', `Cannot wait for ${nameOrId}: cancelled`);
      // inotify does not tell when a lock is freed: look again now and then.
      const timer = setTimeout(wake, watcher === undefined ? 50 : RECHECK_MS);
      await changed;
      clearTimeout(timer);
      changed = new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
  }
}

function watchDirectory(dir: string, onChange: () => void): (Disposable & { readonly watching: true }) | undefined {
  try {
    const watcher = watch(dir, onChange);
    watcher.on('error', onChange);
    return { watching: true, [Symbol.dispose]: () => watcher.close() };
  } catch {
    return undefined;
  }
}
