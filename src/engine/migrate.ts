import { sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { pidfdOpen, pidfdSendSignal, processStat } from '../sys/process.ts';
import type { Engine } from './engine.ts';
import { isKept, listContainers } from './list.ts';
import { stopContainer } from './stop.ts';

/** The name that the holder gives itself. */
const HOLDER_NAME = 'tare-userns';
const SIGTERM = 15;
const HOLDER_DEADLINE_MS = 10_000;

/**
 * Stops the containers of this engine and ends the process that keeps the user's namespace: the next command makes a new one, with the subordinate ids of then. Containers of other
 * roots keep the old one as long as they run. Returns the names of those stopped.
 *
 * Errors: failed-precondition where there is no such namespace (the machine's root), or it is another program's (`podman unshare`); those of stop.
 */
export async function migrate(engine: Engine): Promise<string[]> {
  const holder = engine.rootless?.holder ?? 0;
  if (holder === 0) {
    throw new TareError(
      'failed-precondition',
      engine.rootless === undefined
        ? 'Cannot migrate: root has no user namespace to give up'
        : 'Cannot migrate: this is the namespace of another program; run it outside',
    );
  }
  const live = listContainers(engine, { sandboxes: true }).filter(isKept);
  await Promise.all(live.map(({ id }) => stopContainer(engine, id, { untilRemoved: true })));
  await endHolder(holder);
  return live.map(({ name }) => name);
}

async function endHolder(pid: number): Promise<void> {
  let handle;
  try {
    handle = pidfdOpen(pid);
  } catch {
    return;
  }
  using process = handle;
  // Only now can its number not become another's.
  if (processStat(pid)?.name !== HOLDER_NAME) return;
  const deadline = Date.now() + HOLDER_DEADLINE_MS;
  pidfdSendSignal(process, SIGTERM);
  while (!['Z', undefined].includes(processStat(pid)?.state) && Date.now() < deadline) await sleep(2);
}
