import { openSync, constants } from 'node:fs';
import { join } from 'node:path';
import { isKind, TareError } from '../base/errors.ts';
import type { MountIds } from '../spec/mount.ts';
import {
  Fd,
  openDirectory,
  openTree,
  mapIds,
  memfdSealed,
  mountDetached,
  sendFds,
  socketpair,
  startHelper,
  type ComingHelper,
} from '../sys/mod.ts';
import { type ClientFrame, encodeClientFrame } from '../sys/monitor/frames.ts';
import { MonitorClient } from '../sys/monitor/client.ts';
import { encodePlan } from '../sys/plan/encode.ts';
import type { CompiledPlan, FdSource } from './compile/mod.ts';

/** The concrete things behind a compiled Plan's symbolic descriptors. */
export interface PlanResources {
  /** Container directory. */
  readonly stateDir: string;
  /** Directory of the monitor's socket. */
  readonly runDir: string;
  readonly logDir: string;
  readonly eventsDir?: string;
  /** The monitor's socket. */
  readonly socketPath: string;
  readonly cgroupRoot: string;
  readonly rootfs?: Fd;
  readonly life?: Fd;
  readonly pidfd?: Fd;
  readonly hold?: readonly Fd[];
  /** Detached mounts, in the order of `CompileOptions.opened`. */
  readonly opened?: readonly { readonly fd: Fd }[];
  /** The process's own streams (STDIO_FDS). */
  readonly stdio?: readonly [number, number, number];
  readonly preserve?: readonly number[];
}

/** A Plan ready to be handed to a helper. */
export interface OpenedPlan extends Disposable {
  /** The encoded Plan. */
  readonly bytes: Uint8Array;
  /** The fd table. */
  readonly fds: readonly number[];
}

/** Opens every descriptor a Plan names and encodes it. Errors: SysError of the open that failed, not-found for a missing bind source. */
export function openPlan(compiled: CompiledPlan, resources: PlanResources): OpenedPlan {
  const stack = new DisposableStack();
  try {
    const fds = compiled.fds.map((source) => openSource(source, resources, stack));
    return { bytes: encodePlan(compiled.ops, fds.length), fds, [Symbol.dispose]: () => stack.dispose() };
  } catch (error) {
    stack.dispose();
    throw error;
  }
}

function openSource(source: FdSource, resources: PlanResources, stack: DisposableStack): number {
  const given = (fd: Fd | undefined): number => {
    if (fd === undefined)
      throw new TareError('internal', `Cannot open plan: it needs ${source.kind}, which was not given`);
    return fd.number;
  };
  const open = (path: string, flags: number): number =>
    stack.use(Fd.adopt(openSync(path, flags | constants.O_NOCTTY))).number;
  switch (source.kind) {
    case 'rootfs':
      return given(resources.rootfs);
    case 'life':
      return given(resources.life);
    case 'pidfd':
      return given(resources.pidfd);
    case 'hold':
      return given(resources.hold?.[source.index]);
    case 'state-dir':
      return stack.use(openDirectory(resources.stateDir)).number;
    case 'run-dir':
      return stack.use(openDirectory(resources.runDir)).number;
    case 'log-dir':
      return stack.use(openDirectory(resources.logDir)).number;
    case 'events-dir':
      return stack.use(openDirectory(resources.eventsDir ?? '')).number;
    case 'cgroup-root':
      return stack.use(openDirectory(resources.cgroupRoot)).number;
    case 'cgroup-dir':
      return stack.use(openDirectory(join(resources.cgroupRoot, source.path))).number;
    case 'cgroup-file':
      return open(join(resources.cgroupRoot, source.path), constants.O_WRONLY);
    case 'namespace':
      return open(source.path, constants.O_RDONLY);
    case 'overlay':
      return stack.use(mountDetached(source.mount)).number;
    case 'tree': {
      const tree = stack.use(openTree(source.source, { clone: true, recursive: source.recursive }));
      if (source.ids !== undefined) showOwners(tree, source.source, source.ids);
      return tree.number;
    }
    case 'opened': {
      const tree = resources.opened?.[source.index]?.fd;
      if (tree === undefined)
        throw new TareError('internal', 'Cannot open plan: it needs a mount, which was not given');
      if (source.ids !== undefined) showOwners(tree, 'what is mounted', source.ids);
      return tree.number;
    }
    case 'stdio': {
      const fd = resources.stdio?.[source.which];
      if (fd === undefined) throw new TareError('internal', 'Cannot open plan: it needs stdio, which was not given');
      return fd;
    }
    case 'preserve': {
      const fd = resources.preserve?.[source.index];
      if (fd === undefined)
        throw new TareError('invalid', `Cannot preserve descriptor ${source.index + 3}: it was not given`);
      return fd;
    }
  }
}

function showOwners(tree: Fd, source: string, ids: MountIds & { readonly recursive: boolean }): void {
  try {
    mapIds(tree, ids, ids);
  } catch (cause) {
    if (!isKind(cause, 'invalid') && !isKind(cause, 'denied')) throw cause;
    throw new TareError(
      'unsupported',
      `Cannot mount ${source} with other owners: ${cause.kind === 'denied' ? "only the machine's root can" : 'its file system cannot'}; leave idmap away`,
      { cause },
    );
  }
}

/** A monitor that is being started and knows of nothing yet. Disposing one that got no Plan lets it leave. */
export class ComingMonitor implements Disposable {
  readonly #ours: Fd;
  readonly #theirs: Fd;
  readonly #helper: ComingHelper;
  #taken = false;

  /** Returns at once: the start takes place while its Plan is made. Errors: `not-found` when the helper is not built. */
  constructor() {
    const [ours, theirs] = socketpair();
    this.#ours = ours;
    this.#theirs = theirs;
    try {
      this.#helper = startHelper('monitor', [theirs]);
    } catch (error) {
      ours.close();
      theirs.close();
      throw error;
    }
  }

  /** Waits until the monitor has no copies of what we open from then on, a life lock above all. */
  separate(): void {
    this.#helper.separate();
  }

  /** Its process id, once it executes. Errors: by errno of the start. */
  pid(): number {
    return this.#helper.pid();
  }

  /** Our end of the connection, once the monitor executes. Errors: by errno of the start. */
  take(): Fd {
    this.#helper.pid();
    this.#taken = true;
    return this.#ours;
  }

  [Symbol.dispose](): void {
    try {
      this.#helper.pid();
    } catch {
      // `take` said so.
    }
    this.#theirs.close();
    if (!this.#taken) this.#ours.close();
  }
}

/**
 * Gives a monitor its compiled Plan and returns the starter's connection to it. The life lock travels to the monitor with its descriptor; our
 * copies of all descriptors may be closed afterwards. `requests` are what the monitor finds besides the Plan: an attachment
 * made there misses no output.
 */
export function launch(
  compiled: CompiledPlan,
  resources: PlanResources,
  requests: readonly ClientFrame[],
  coming?: ComingMonitor,
): MonitorClient {
  using opened = openPlan(compiled, resources);
  using plan = memfdSealed('tare-plan', opened.bytes);
  using monitor = coming ?? new ComingMonitor();
  const fd = monitor.take();
  try {
    const frames = [{ type: 'plan' } as const, ...requests].map((frame) => encodeClientFrame(frame));
    sendFds(fd, Buffer.concat(frames), [plan, ...opened.fds]);
    return MonitorClient.over(fd, { socketPath: resources.socketPath });
  } catch (error) {
    fd.close();
    throw error;
  }
}
