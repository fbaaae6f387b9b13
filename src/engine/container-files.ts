import { sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { bytesOf } from '../archive/byte-string.ts';
import { isInPhase, isServed, readLifeState, readPhase, readPid, takeLife } from '../runtime/state.ts';
import type { MountIds } from '../spec/mount.ts';
import type { Mount as OciMount, RuntimeConfig } from '../spec/runtime-config.ts';
import type { Fd } from '../sys/fd.ts';
import { mountDetached } from '../sys/mount-detached.ts';
import { requestMount } from '../sys/monitor/mount-request.ts';
import { openPath } from '../sys/open.ts';
import { pidfdOpen, startTime } from '../sys/process.ts';
import { countMount } from './count-mount.ts';
import { type Engine, ensureLayout, socketPath } from './engine.ts';
import { FileTree, type TreeMount } from './file-tree.ts';
import { mountRootfs } from './mount-rootfs.ts';
import { resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';
import { type ContainerRecord, containerDir, isOpenedAtStart, readConfig, readRecord } from './record.ts';
import { hostLayers } from './source-host.ts';
import { rootfsOf } from './start.ts';

/** A container's files for as long as somebody works with them. */
export interface ContainerFiles<T extends Disposable> extends AsyncDisposable {
  readonly record: ContainerRecord;
  readonly config: RuntimeConfig;
  /** A process runs in it, or may start at any moment: others see and change the files meanwhile. */
  readonly isRunning: boolean;
  readonly files: T;
}

/** Somebody else starts, removes, or copies from or to it: that does not take long. */
const BUSY_DEADLINE_MS = 10_000;
const POLL_MS = 5;

/**
 * What a container sees: of a running one its first process's own view, with volumes, tmpfs and all that is masked; of one that does not run its root file system, held (its life lock)
 * until it is disposed of, with the bind mounts that it would have.
 *
 * Errors: not-found; failed-precondition while somebody else keeps it busy.
 */
export function openContainerView(engine: Engine, nameOrId: string, doing: string): Promise<ContainerFiles<FileTree>> {
  return open(engine, nameOrId, doing, {
    running: (record) => {
      const root = openProcessRoot(containerDir(engine, record.id));
      return root === undefined ? undefined : new FileTree(root);
    },
    stopped: async (record, config, root) => {
      using stack = new DisposableStack();
      stack.use(root);
      const mounts = await stoppedMounts(engine, record, config, stack);
      stack.move();
      const readOnly = config.root?.readonly === true ? 'its root file system is read-only' : undefined;
      return new FileTree(root, mounts, readOnly);
    },
  });
}

/**
 * A container's root file system alone, without anything that is mounted on it: of a running one by a mount that its monitor gives away. Errors: as `openContainerView`.
 */
export function openContainerRootfs(engine: Engine, nameOrId: string, doing: string): Promise<ContainerFiles<Fd>> {
  return open(engine, nameOrId, doing, {
    running: (record) => {
      try {
        return requestMount(socketPath(engine, record.id));
      } catch (error) {
        if (isInPhase(containerDir(engine, record.id), 'running')) throw error;
        return undefined;
      }
    },
    stopped: (_record, _config, root) => root,
  });
}

interface Ways<T> {
  /** Undefined when it has ended meanwhile. */
  running(record: ContainerRecord): T | undefined;
  stopped(record: ContainerRecord, config: RuntimeConfig, root: Fd): T | Promise<T>;
}

async function open<T extends Disposable>(
  engine: Engine,
  nameOrId: string,
  doing: string,
  ways: Ways<T>,
): Promise<ContainerFiles<T>> {
  const id = resolveContainer(engine, nameOrId);
  const dir = containerDir(engine, id);
  const deadline = Date.now() + BUSY_DEADLINE_MS;
  for (;;) {
    await reconcile(engine, id);
    const state = readLifeState(dir);
    if (state === undefined)
      throw new TareError('not-found', `Cannot ${doing} container ${nameOrId}: no such container`);
    if (state.held && isServed(state.phase)) {
      const record = readRecord(engine, id);
      const files = ways.running(record);
      if (files !== undefined)
        return {
          record,
          config: readConfig(engine, id),
          isRunning: true,
          files,
          [Symbol.asyncDispose]: async () => files[Symbol.dispose](),
        };
    }
    if (!state.held) {
      const held = await openStopped(engine, id, doing, ways);
      if (held !== undefined) return held;
    }
    if (Date.now() > deadline)
      throw new TareError(
        'failed-precondition',
        `Cannot ${doing} container ${nameOrId}: another process is starting, removing or copying it`,
      );
    await sleep(POLL_MS);
  }
}

/** Undefined when it changed hands meanwhile. */
async function openStopped<T extends Disposable>(
  engine: Engine,
  id: string,
  doing: string,
  ways: Ways<T>,
): Promise<ContainerFiles<T> | undefined> {
  const dir = containerDir(engine, id);
  await using stack = new AsyncDisposableStack();
  try {
    stack.use(takeLife(dir, `${doing} container`));
  } catch {
    return undefined;
  }
  const phase = readPhase(dir);
  if (phase !== 'created' && phase !== 'exited') return undefined;
  ensureLayout(engine);
  const record = readRecord(engine, id);
  const config = readConfig(engine, id);
  const rootfs = await rootfsOf(engine, record);
  await countMount(engine, record, true);
  stack.defer(() => countMount(engine, record, false));
  const files = stack.use(await ways.stopped(record, config, await mountRootfs(engine, rootfs, record)));
  const kept = stack.move();
  return { record, config, isRunning: false, files, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** The root directory of a container's first process, proven to be it by its start time. Undefined when it has ended. */
function openProcessRoot(dir: string): Fd | undefined {
  const known = readPid(dir);
  if (known === undefined) return undefined;
  try {
    using _alive = pidfdOpen(known.pid);
    using stack = new DisposableStack();
    const root = stack.use(openPath(`/proc/${known.pid}/root`, { follow: true, directory: true }));
    // The process whose root that is, as long as the number was not given to another before.
    if (String(startTime(known.pid)) !== known.startTime) return undefined;
    stack.move();
    return root;
  } catch {
    return undefined;
  }
}

/** What would stand on the root file system of a container that does not run, and what it would not see of it. */
async function stoppedMounts(
  engine: Engine,
  record: ContainerRecord,
  config: RuntimeConfig,
  stack: DisposableStack,
): Promise<TreeMount[]> {
  const opened = new Map<string, TreeMount>();
  for (const mount of record.mounts?.filter(isOpenedAtStart) ?? []) {
    const { openedMount } = await import('./volumes/opened-mount.ts');
    opened.set(mount.destination, await openedMount(engine, record, mount, stack));
  }
  const layers = record.source.kind === 'host' ? hostLayers(containerDir(engine, record.id)) : [];
  const mounts = (config.mounts ?? []).map((mount): TreeMount => {
    const known = opened.get(mount.destination);
    if (known !== undefined) return known;
    const path = bytesOf(mount.destination.replace(/\/+$/, ''));
    const readOnly = mount.options?.includes('ro') === true;
    const layer = layers.find((one) => one.path === mount.destination);
    const gone = { path, root: undefined, readOnly };
    try {
      if (layer !== undefined && mount.type === 'overlay') {
        const { lowers, upper, work } = layer;
        const overlay = { kind: 'overlay', lowers, upper, work, options: engine.overlayOptions } as const;
        const ids = idsOfMount(mount, config);
        return { path, root: stack.use(mountDetached(ids === undefined ? overlay : { ...overlay, ids })), readOnly };
      }
      const ids = isBind(mount) ? idsOfMount(mount, config) : undefined;
      if (ids !== undefined && mount.source !== undefined)
        return {
          path,
          root: stack.use(
            mountDetached({ kind: 'bind', source: mount.source, readOnly: false, recursive: false, ids }),
          ),
          readOnly,
        };
      if (isBind(mount) && mount.source !== undefined)
        return { path, root: stack.use(openPath(mount.source, { follow: true })), readOnly };
    } catch {
      return { ...gone, why: `its source ${mount.source ?? ''} is not there` };
    }
    return { ...gone, why: `a ${mount.type ?? 'mount'} is there while the container runs, and it does not run` };
  });
  // What hides the machine's secrets from a container of host: hides them from its copies as well.
  const masked =
    record.source.kind === 'host' ? (config.linux?.maskedPaths ?? []).map((path) => maskedMount(bytesOf(path))) : [];
  return [...mounts, ...masked];
}

/** Whose its files are seen to be, where that is not whose they are (compile/mounts.ts). */
function idsOfMount(mount: OciMount, { linux }: RuntimeConfig): MountIds | undefined {
  const isAsked = mount.options?.some((option) => option === 'idmap' || option === 'ridmap') === true;
  const { uidMappings, gidMappings } = mount.uidMappings !== undefined || !isAsked ? mount : (linux ?? {});
  return uidMappings === undefined || gidMappings === undefined ? undefined : { uidMappings, gidMappings };
}

function maskedMount(path: string): TreeMount {
  return { path, root: undefined, readOnly: true, isHidden: true, why: 'it is hidden from the container' };
}

function isBind({ type, options }: OciMount): boolean {
  return type === 'bind' || options?.includes('bind') === true || options?.includes('rbind') === true;
}
