import { existsSync } from 'node:fs';
import { monotonicMs, sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { type Phase, isServed, readLifeState } from '../runtime/state.ts';
import { MonitorClient } from '../sys/mod.ts';
import { type Engine, socketPath } from './engine.ts';
import { resolveContainer } from './names.ts';
import { containerDir } from './record.ts';
import { mayBeAbandoned } from './standstill.ts';

/** So long there may be no monitor while one hands its container over to the next (restart-again.ts). */
const HAND_OVER_MS = 2000;
/** And so long no socket, while the next one makes its own. */
const BINDING_MS = 100;

/** A monitor that lives and whose socket is gone: a logout removes the run directory of a user who does not linger. The container can be stopped. */
export class UnreachableMonitor extends TareError {
  constructor(what: string, nameOrId: string, cause: unknown) {
    super(
      'unavailable',
      `Cannot ${what} container ${nameOrId}: the run directory it was started with was removed (a logout does that without loginctl enable-linger); stop it and start it again`,
      { cause },
    );
  }
}

/**
 * Connects to the monitor of a running container, with `initialized` also of one that waits for its start; without `greet` it does not wait for the monitor's greeting.
 *
 * Errors: not-found; failed-precondition when it is not running (a container whose monitor died is collected first).
 */
export async function connectMonitor(
  engine: Engine,
  nameOrId: string,
  what: string,
  how: { readonly greet: boolean; readonly initialized?: boolean } = { greet: true },
): Promise<{ id: string; monitor: MonitorClient }> {
  const id = resolveContainer(engine, nameOrId);
  const dir = containerDir(engine, id);
  const notRunning = (state: string): TareError =>
    new TareError('failed-precondition', `Cannot ${what} container ${nameOrId}: it is ${state}, not running`);
  const state = readLifeState(dir);
  if (state === undefined) throw new TareError('not-found', `Cannot ${what} container ${nameOrId}: no such container`);
  const isWanted = (phase: Phase): boolean =>
    phase === 'running' || (phase === 'initialized' && how.initialized === true);
  if (isServed(state.phase) && !state.held) {
    const { reconcile } = await import('./reconcile.ts');
    await reconcile(engine, id);
    throw notRunning('dead (its monitor was killed; it is collected now)');
  }
  if (!isWanted(state.phase)) throw notRunning(state.phase);
  if (mayBeAbandoned(engine, id)) (await import('./while-paused.ts')).endAbandonedPause(engine, id);
  const began = monotonicMs();
  for (;;) {
    try {
      const path = socketPath(engine, id);
      return { id, monitor: how.greet ? await MonitorClient.connect(path) : MonitorClient.begin(path) };
    } catch (cause) {
      const now = readLifeState(dir);
      if (now === undefined || !isWanted(now.phase) || !now.held) throw notRunning(now?.phase ?? 'gone');
      const goneMs = monotonicMs() - began;
      if (!existsSync(socketPath(engine, id)) && goneMs > BINDING_MS)
        throw new UnreachableMonitor(what, nameOrId, cause);
      if (goneMs > HAND_OVER_MS)
        throw new TareError('unavailable', `Cannot ${what} container ${nameOrId}: its monitor does not answer`, {
          cause,
        });
      await sleep(10);
    }
  }
}
