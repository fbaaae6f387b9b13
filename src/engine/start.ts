import { sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { readLifeState, readPhase, takeLife } from '../runtime/state.ts';
import type { Mount } from '../spec/mount.ts';
import type { Fd } from '../sys/fd.ts';
import { attachContainer } from './attach.ts';
import { type Engine, ensureLayout } from './engine.ts';
import { countMount } from './count-mount.ts';
import { launchContainer } from './launch.ts';
import { resolveContainer } from './names.ts';
import { refusePaused } from './refuse-paused.ts';
import { reconcile } from './reconcile.ts';
import { type ContainerRecord, containerDir, readConfig, readRecord } from './record.ts';
import type { Running } from './running.ts';
import { hostLayers } from './source-host.ts';
import { clearSupervision } from './supervision-state.ts';

export interface StartHow {
  readonly attach: boolean;
  readonly stdin: boolean;
  /** When the handle's process dies or closes it, the container is killed and removed. */
  readonly owner?: boolean;
}

/** A monitor needs this long at the most between the exit record and its own end. */
const ENDING_DEADLINE_MS = 10_000;

/**
 * Starts a created or ended container, or lets an initialized one go on. Starting a running one is no error: the handle is an attachment then.
 *
 * Errors: not-found; failed-precondition while another process starts or removes it; LaunchError.
 */
export async function startContainer(engine: Engine, nameOrId: string, how: StartHow): Promise<Running> {
  const id = resolveContainer(engine, nameOrId);
  const dir = containerDir(engine, id);
  await reconcile(engine, id);
  const deadline = Date.now() + ENDING_DEADLINE_MS;
  let state = readLifeState(dir);
  for (; state?.held === true && Date.now() < deadline; state = readLifeState(dir)) {
    if (state.phase === 'initialized') {
      const started = await letGo(engine, id, how);
      if (started !== undefined) return started;
      // Its exit is recorded, its monitor is still answering its clients and cleaning up; or it is being initialized.
    } else if (state.phase !== 'exited' && state.phase !== 'created') break;
    await sleep(5);
  }
  if (state?.phase === 'running' && state.held) {
    refusePaused(readRecord(engine, id), 'start');
    const running = await attachContainer(engine, id, { stdin: how.stdin });
    if (!how.attach) running.close();
    return running;
  }
  const running = await launchHeld(engine, nameOrId, 'start', how);
  if (!how.attach) running.close();
  return running;
}

/** Undefined: look again. */
async function letGo(engine: Engine, id: string, how: StartHow): Promise<Running | undefined> {
  if (how.owner === true) {
    // Its monitor was made for nobody: it would not die with an owner.
    await (await import('./abandon.ts')).abandonContainer(engine, id);
    return undefined;
  }
  const { startInitialized } = await import('./start-initialized.ts');
  const running = await startInitialized(engine, id, how);
  if (!how.attach) running?.close();
  return running;
}

/** Launches a container that nobody holds, with `waits` up to its start. Errors: failed-precondition when somebody holds it; LaunchError. */
export async function launchHeld(
  engine: Engine,
  nameOrId: string,
  what: string,
  how: StartHow & { readonly waits?: boolean },
): Promise<Running> {
  const id = resolveContainer(engine, nameOrId);
  const dir = containerDir(engine, id);
  using life = takeLifeOf(dir, `${what} container ${nameOrId}`);
  const phase = readPhase(dir);
  if (phase !== 'created' && phase !== 'exited') {
    throw new TareError('failed-precondition', `Cannot ${what} container ${nameOrId}: it is ${phase ?? 'gone'}`);
  }
  // The run root may be gone since: a reboot.
  ensureLayout(engine);
  const record = readRecord(engine, id);
  const rootfs = await rootfsOf(engine, record);
  // What waits to be started counts from there: its monitor forgets then.
  if (how.waits !== true) clearSupervision(dir);
  await countMount(engine, record, true);
  try {
    return await launchContainer(engine, record, readConfig(engine, id), rootfs, life, {
      attach: { stdin: how.stdin && how.attach, output: how.attach },
      owner: how.owner === true,
      waits: how.waits === true,
      detach: !how.attach,
      warnings: [],
    });
  } catch (error) {
    await countMount(engine, record, false);
    throw error;
  }
}

function takeLifeOf(dir: string, what: string): Fd {
  try {
    return takeLife(dir, what);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new TareError('not-found', `Cannot ${what}: it was removed`, { cause: error });
  }
}

/** The rootfs mount of an existing container. Errors: not-found when its source is gone. */
export async function rootfsOf(engine: Engine, record: ContainerRecord): Promise<Mount> {
  const mount = await plainRootfsOf(engine, record);
  return record.userns?.owners === 'mapped' ? (await import('./map-owners.ts')).mapped(mount, record.userns) : mount;
}

async function plainRootfsOf(engine: Engine, record: ContainerRecord): Promise<Mount> {
  switch (record.source.kind) {
    case 'image':
      return (await engine.store()).rootfs(record.id);
    case 'host':
      return overlayOf(engine, record);
    case 'rootfs':
      if (record.source.overlay) return overlayOf(engine, record);
      return { kind: 'bind', source: record.source.path, readOnly: false, recursive: true };
    case 'bundle':
      return { kind: 'bind', source: record.source.path, readOnly: false, recursive: true };
  }
}

function overlayOf(engine: Engine, record: ContainerRecord): Mount {
  const root = hostLayers(containerDir(engine, record.id))[0];
  if (root === undefined)
    throw new TareError('internal', `Cannot start container ${record.name}: its layers are not recorded`);
  const { lowers, upper, work, fuse } = root;
  const options = engine.overlayOptions;
  return { kind: 'overlay', lowers, upper, work, options, ...(fuse === true ? { fuse } : {}) };
}
