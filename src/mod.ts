/**
 * Tare for programs: pull, run and inspect containers without a daemon.
 *
 * ```ts
 * import { open } from 'tare';
 * await using tare = await open();
 * await using box = await tare.run('host:', ['uname', '-a']);
 * for await (const chunk of box.stdout) process.stdout.write(chunk);
 * const { code } = await box.wait();
 * ```
 *
 * Containers started here belong to the program: when it leaves the scope, or dies in whatever way, they are killed and removed.
 * Everything throws `TareError` with a closed `kind`.
 */
import { TareError } from './base/errors.ts';
import { Container } from './container.ts';
import type { CgroupManager } from './engine/cgroup-manager.ts';
import type { CommitOptions, CommittedImage } from './engine/commit.ts';
import type { Copied, CopyEnd, CopyOptions } from './engine/copy.ts';
import { cancelled } from './engine/create.ts';
import type { CreateOptions } from './engine/create-options.ts';
import { createEngine, ensureLayout, type Engine } from './engine/engine.ts';
import type { EngineInfo } from './engine/info.ts';
import type { ImportImageOptions, MadeImage } from './engine/import-image.ts';
import type { TareEvent } from './engine/event.ts';
import type { eventFilterKeys } from './engine/event-filter.ts';
import { listContainers, type ContainerSummary } from './engine/list.ts';
import type { EventOptions } from './engine/read-events.ts';
import { rootlessUser } from './engine/rootless.ts';
import type { HealthState } from './engine/supervision-state.ts';
import { standardPlaces } from './engine/storage-places.ts';
import type { DiskUsage } from './engine/disk-usage.ts';
import type { StatsOptions, StatsSample } from './engine/stats.ts';
import type { ProcessTable } from './engine/top.ts';
import type { ContainerUpdate } from './engine/update.ts';
import { runContainer } from './engine/run.ts';
import type { PullEvent } from './image/pull.ts';
import { Networks } from './networks.ts';
import { Secrets } from './secrets.ts';
import { Pods } from './pods.ts';
import { nativeDir } from './sys/native.ts';
import { Volumes } from './volumes.ts';

export { TareError, isKind, type ErrorKind } from './base/errors.ts';
export { Container, type ContainerProcess, type ProcessExit } from './container.ts';
export type { CgroupManager } from './engine/cgroup-manager.ts';
export { LaunchError } from './engine/launch-error.ts';
export type { CommitOptions, CommittedImage } from './engine/commit.ts';
export type { Copied, CopyEnd, CopyOptions } from './engine/copy.ts';
export type { ImportImageOptions, MadeImage } from './engine/import-image.ts';
export type {
  CreateOptions,
  ExecOptions,
  MountRequest,
  ResourceLimits,
  SecretRequest,
} from './engine/create-options.ts';
export type { EngineInfo } from './engine/info.ts';
export type { Lack } from './engine/lacks.ts';
export type { DiskUsage } from './engine/disk-usage.ts';
export type { ContainerState, ContainerSummary } from './engine/list.ts';
export type { EventType, TareEvent } from './engine/event.ts';
export type { HealthOptions } from './engine/health-options.ts';
export type { ReachedPort } from './engine/reach-port.ts';
export type { HealthResult, HealthState, HealthStatus } from './engine/supervision-state.ts';
export type { StatsOptions, StatsSample } from './engine/stats.ts';
export type { ProcessTable } from './engine/top.ts';
export type { ContainerUpdate } from './engine/update.ts';
export type { Networks } from './networks.ts';
export type { Network } from './network/network.ts';
export type { NetworkWish } from './network/networks.ts';
export type { Pods } from './pods.ts';
export type { ClonePodOptions } from './engine/pods/clone-pod.ts';
export type { CreatePodOptions } from './engine/pods/create-pod.ts';
export type { PodContainer, PodState, PodSummary } from './engine/pods/list-pods.ts';
export type { Secrets } from './secrets.ts';
export type { CreateSecretOptions, SecretRecord } from './engine/secrets/store.ts';
export type { CreateVolumeOptions } from './engine/volumes/create-volume.ts';
export type { VolumeSummary } from './engine/volumes/list-volumes.ts';
export type { PullEvent } from './image/pull.ts';
export { type OwnedVolume, Volumes } from './volumes.ts';

/** Where Tare keeps its state; the defaults are the command line's. */
export interface OpenOptions {
  /** Containers and their writable layers; `/var/lib/tare`. */
  readonly root?: string;
  /** Sockets and mount points; `/run/tare`. */
  readonly runRoot?: string;
  /** The image store, shared with podman; where storage.conf says, otherwise `/var/lib/containers/storage`. */
  readonly storageRoot?: string;
  /** Run-time state of the image store; `/run/containers/storage`. */
  readonly storageRunRoot?: string;
  /** Who makes the containers' cgroups; `cgroupfs`, for a user whose session has no cgroup of its own `systemd`. */
  readonly cgroupManager?: CgroupManager;
  /** Parent of the containers' cgroups, `/tare`; with systemd a slice, `machine.slice`. */
  readonly cgroupParent?: string;
  /** Network of containers that ask for none in particular; TARE_DEFAULT_NETWORK, otherwise `bridge` (in a user namespace of its own `none`). */
  readonly defaultNetwork?: string;
}

/** Options of `Tare.run`: those of a container, and what accompanies its start. */
export interface RunOptions extends Omit<CreateOptions, 'source' | 'argv' | 'autoRemove'> {
  /** Aborting it gives up the start, or kills the container that runs. */
  readonly signal?: AbortSignal;
  /** Hears of the pull when the image is not in the store. */
  readonly onProgress?: (event: PullEvent) => void;
}

/** Options of `Tare.pull`. */
export interface PullOptions {
  /** os/arch[/variant]; default the machine's. */
  readonly platform?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: PullEvent) => void;
  /** PEM certificates of authorities to trust besides the system's. */
  readonly ca?: readonly string[];
  /** Where relative `oci:` and `oci-archive:` paths start; default `/`. */
  readonly cwd?: string;
}

/** Options of `Tare.events`. */
export interface EventsOptions extends Omit<EventOptions, 'filters'> {
  /** Values by key (`container`, `event`, `image`, `label`, `type`, `volume`, `network`, `pod`): any of a key's values will do, but all labels must be there. */
  readonly filters?: Readonly<Partial<Record<(typeof eventFilterKeys)[number], string | readonly string[]>>>;
}

export interface PushOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (event: PullEvent) => void;
  /** PEM certificates of authorities to trust besides the system's. */
  readonly ca?: readonly string[];
  /** False: registries need not show a certificate that is trusted, and may speak plain http. Default: as registries.conf says. */
  readonly tlsVerify?: boolean;
  /** Where relative paths start; default `/`. */
  readonly cwd?: string;
}

/** An opened Tare. Disposing it kills and removes every container it still runs. */
export class Tare implements AsyncDisposable {
  /** Its volumes: `await tare.volumes.create({ name: 'data' })`. */
  readonly volumes: Volumes;
  readonly #engine: Engine;
  readonly #containers = new Set<Container>();
  readonly #disposed = new AbortController();
  readonly #starting = new Set<Promise<unknown>>();

  /** Secrets of this root, for `run` with `secrets`. */
  readonly secrets: Secrets;
  /** Networks of this root, for `run` with `network`. */
  readonly networks: Networks;
  /** Pods of this root, for `run` with `pod`. */
  readonly pods: Pods;

  /** @internal */
  constructor(engine: Engine) {
    this.#engine = engine;
    this.secrets = new Secrets(engine);
    this.networks = new Networks(engine);
    this.pods = new Pods(engine);
    this.volumes = new Volumes(engine);
  }

  /**
   * Runs a container that this program owns. `source` is an image reference (or `oci:`, `oci-archive:`), `host:`, `host:/path`, `rootfs:/path[:O]` or
   * `bundle:/path`; an empty `argv` runs the image's own command. Settles when the process runs.
   *
   * Errors: invalid options; not-found source; LaunchError when it cannot start; cancelled; failed-precondition after disposal.
   */
  async run(source: string, argv: readonly string[] = [], options: RunOptions = {}): Promise<Container> {
    if (this.#disposed.signal.aborted)
      throw new TareError('failed-precondition', 'Cannot run container: this Tare is disposed');
    const start = this.#start(source, argv, options);
    this.#starting.add(start);
    try {
      return await start;
    } finally {
      this.#starting.delete(start);
    }
  }

  async #start(source: string, argv: readonly string[], options: RunOptions): Promise<Container> {
    const { signal, onProgress, ...rest } = options;
    const given = signal === undefined ? this.#disposed.signal : AbortSignal.any([signal, this.#disposed.signal]);
    if (given.aborted) throw cancelled(given);
    const how = { detach: false, owner: true, signal: given, ...(onProgress === undefined ? {} : { onProgress }) };
    const running = await runContainer(
      this.#engine,
      { log: { driver: 'none' }, ...rest, source, argv, autoRemove: true },
      how,
    );
    const container = new Container(this.#engine, running, signal);
    this.#containers.add(container);
    container.gone.finally(() => this.#containers.delete(container)).catch(() => {});
    return container;
  }

  /** All containers in this root, newest first, whoever started them. */
  ps(): ContainerSummary[] {
    return listContainers(this.#engine);
  }

  /** What this machine is, what is in this root, and what is missing here with what to do about it. Changes nothing. */
  async info(): Promise<EngineInfo> {
    const { engineInfo } = await import('./engine/info.ts');
    return engineInfo(this.#engine);
  }

  /**
   * Prepares a created or ended container that no program owns up to its program, which waits for `start`. Initializing what is initialized is no error. Returns warnings.
   * Errors: not-found; failed-precondition when it runs; LaunchError.
   */
  async init(nameOrId: string): Promise<readonly string[]> {
    const { initializeContainer } = await import('./engine/initialize.ts');
    return initializeContainer(this.#engine, nameOrId);
  }

  /** Starts a created, initialized or ended container that no program owns; one that runs is no error. Returns warnings. Errors: not-found; failed-precondition; LaunchError. */
  async start(nameOrId: string): Promise<readonly string[]> {
    const { startContainer } = await import('./engine/start.ts');
    return (await startContainer(this.#engine, nameOrId, { attach: false, stdin: false })).warnings;
  }

  /** Lets all processes of a container stand still, whoever started it, until `unpause`. Errors: not-found; failed-precondition. */
  async pause(nameOrId: string): Promise<void> {
    const { pauseContainer } = await import('./engine/pause.ts');
    await pauseContainer(this.#engine, nameOrId);
  }

  /** Lets a paused container go on. Errors: not-found; failed-precondition when it is not paused. */
  async unpause(nameOrId: string): Promise<void> {
    const { unpauseContainer } = await import('./engine/pause.ts');
    await unpauseContainer(this.#engine, nameOrId);
  }

  /** Stops and starts a container that no program owns; one of this program has its own `restart`. Returns warnings. Errors: not-found; LaunchError. */
  async restart(
    nameOrId: string,
    options: { readonly timeoutSeconds?: number; readonly signal?: string } = {},
  ): Promise<readonly string[]> {
    const { restartContainer } = await import('./engine/restart.ts');
    return restartContainer(this.#engine, nameOrId, options);
  }

  /** Gives a container another name. Errors: not-found; already-exists; invalid. */
  async rename(nameOrId: string, name: string): Promise<void> {
    const { renameContainer } = await import('./engine/rename.ts');
    await renameContainer(this.#engine, nameOrId, name);
  }

  /** Changes the limits of a container, and its restart policy, now and for its next starts, and its health check for the next starts. Returns warnings. Errors: not-found; invalid; failed-precondition. */
  async update(nameOrId: string, update: ContainerUpdate): Promise<readonly string[]> {
    const { updateContainer } = await import('./engine/update.ts');
    return updateContainer(this.#engine, nameOrId, update);
  }

  /** Samples what containers use: those named, or whichever run. One list for each interval, until the loop is left or `signal` aborts. Errors: not-found. */
  async *stats(names: readonly string[] = [], options: StatsOptions = {}): AsyncGenerator<readonly StatsSample[]> {
    const { containerStats } = await import('./engine/stats.ts');
    yield* containerStats(this.#engine, names, options);
  }

  /** The processes of a container. `columns`: descriptors as of `tare top`. Errors: not-found; invalid; failed-precondition. */
  async top(nameOrId: string, columns: readonly string[] = []): Promise<ProcessTable> {
    const { containerProcesses } = await import('./engine/top.ts');
    return containerProcesses(this.#engine, nameOrId, columns);
  }

  /** What images, containers, volumes and kept blobs take of the disk. */
  async diskUsage(): Promise<DiskUsage> {
    const { diskUsage } = await import('./engine/disk-usage.ts');
    return diskUsage(this.#engine);
  }

  /**
   * The text of a systemd unit that at boot starts the containers of this root whose restart policy is `always`, or `unless-stopped` and nobody stopped them.
   * `tare system install-units` writes it where systemd looks. Errors: invalid for a root whose name contains a line break.
   */
  async restartUnit(): Promise<string> {
    const { restartUnit, restartTarget } = await import('./engine/install-units.ts');
    return restartUnit(this.#engine, restartTarget(this.#engine));
  }

  /**
   * Pulls an image into the store, from a registry, `oci:`, `oci-archive:`, `docker-archive:` or `dir:`. Returns its id. Idempotent: layers that are there are not fetched.
   *
   * Errors: not-found, denied, unavailable, invalid (bad reference or content), cancelled.
   */
  async pull(reference: string, options: PullOptions = {}): Promise<string> {
    const { pullImage } = await import('./engine/images.ts');
    return (await pullImage(this.#engine, reference, options)).imageId;
  }

  /**
   * Copies an image of the store to a registry, archive or directory (`docker://…`, `oci:…`, `docker-archive:…`); without a destination to the registry that its name says. What is
   * there already is not sent. Returns the digest of the manifest there.
   *
   * Errors: not-found, denied, unavailable, invalid, cancelled, unsupported; failed-precondition for an image without a name and no destination.
   */
  async push(image: string, destination?: string, options: PushOptions = {}): Promise<string> {
    const { pushImage } = await import('./engine/push.ts');
    return (await pushImage(this.#engine, image, destination, options)).digest;
  }

  /**
   * Copies files between the machine and a container of this root (by name or id, running or not), or between two, by the rules of `tare cp`. Returns what was left out.
   *
   * Errors: not-found; failed-precondition where a directory and a file meet, or the container is busy; denied, invalid, cancelled, exhausted.
   */
  async copy(from: CopyEnd, to: CopyEnd, options: CopyOptions = {}): Promise<Copied> {
    const { copyFiles } = await import('./engine/copy.ts');
    return await copyFiles(this.#engine, from, to, options);
  }

  /**
   * Makes an image of what a container of this root has become: see `Container.commit`. Errors: not-found; unsupported without a writable layer; invalid; exhausted; cancelled.
   */
  async commit(container: string, options: CommitOptions = {}): Promise<CommittedImage> {
    const { commitContainer } = await import('./engine/commit.ts');
    return await commitContainer(this.#engine, container, options);
  }

  /**
   * Makes an image of one layer from the tar of a root file system: a path, an http or https address, or the bytes (a Readable will do); plain, gzip or zstd.
   *
   * Errors: not-found, unavailable; invalid for what is no tar, bad changes or a bad name; exhausted; cancelled.
   */
  async import(
    input: ImportImageOptions['input'],
    options: Omit<ImportImageOptions, 'input'> = {},
  ): Promise<MadeImage> {
    const { importImage } = await import('./engine/import-image.ts');
    return await importImage(this.#engine, { ...options, input });
  }

  /**
   * What happens to containers and images, whoever does it: an endless loop until `signal` is aborted, or `until`. With `since` also what happened before.
   *
   * ```ts
   * for await (const { action, name } of tare.events({ signal })) console.log(action, name);
   * ```
   */
  async *events(options: EventsOptions = {}): AsyncGenerator<TareEvent, void, void> {
    const { filters = {}, ...rest } = options;
    const { readEvents } = await import('./engine/read-events.ts');
    const lists = Object.entries(filters).map(([key, value]) => [key, [value].flat()] as const);
    yield* readEvents(this.#engine, { ...rest, filters: new Map(lists) });
  }

  /** Checks the health of a container now. Errors: not-found; failed-precondition when it does not run or has no check. */
  async checkHealth(nameOrId: string): Promise<HealthState> {
    const { checkHealth } = await import('./engine/check-health.ts');
    return (await checkHealth(this.#engine, nameOrId)).health;
  }

  /** Kills and removes what it runs, gives up what it starts, and returns when all of it is gone. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed.abort();
    await Promise.allSettled(this.#starting);
    await Promise.all([...this.#containers].map((container) => container[Symbol.asyncDispose]()));
  }
}

/** Opens Tare. Creates its directories when missing. Errors: denied without the rights to. */
export async function open(options: OpenOptions = {}): Promise<Tare> {
  const uid = process.getuid?.() ?? 0;
  const rootless = rootlessUser(process.env, uid);
  const places = standardPlaces(process.env, rootless);
  const root = options.root ?? places.root;
  const runRoot = options.runRoot ?? places.runRoot;
  const storageRoot = options.storageRoot ?? places.storageRoot;
  const storageRunRoot = options.storageRunRoot ?? places.storageRunRoot;
  const launcher = `${nativeDir()}/bin/tare`;
  const parent = options.cgroupParent === undefined ? [] : ['--cgroup-parent', options.cgroupParent];
  const defaultNetwork = options.defaultNetwork ?? process.env['TARE_DEFAULT_NETWORK'];
  const manager = options.cgroupManager === undefined ? [] : ['--cgroup-manager', options.cgroupManager];
  const engine = createEngine({
    root,
    runRoot,
    storageRoot,
    storageRunRoot,
    env: process.env,
    uid: rootless?.uid ?? uid,
    ...(rootless === undefined ? {} : { rootless }),
    ...(places.mountProgram === undefined ? {} : { mountProgram: places.mountProgram }),
    ...(storageRoot === places.storageRoot && places.storageProblem !== undefined
      ? { storageProblem: places.storageProblem }
      : {}),
    self: [
      launcher,
      '--root',
      root,
      '--runroot',
      runRoot,
      '--storage-root',
      storageRoot,
      '--storage-runroot',
      storageRunRoot,
      ...manager,
      ...parent,
    ],
    ...(defaultNetwork === undefined || defaultNetwork === '' ? {} : { defaultNetwork }),
    ...(options.cgroupManager === undefined ? {} : { cgroupManager: options.cgroupManager }),
    ...(options.cgroupParent === undefined ? {} : { cgroupParent: options.cgroupParent }),
  });
  ensureLayout(engine);
  return new Tare(engine);
}
