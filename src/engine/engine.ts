import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { Store } from '../storage/mod.ts';
import type { CgroupChoice, CgroupManager } from './cgroup-manager.ts';
import { cgroupChoice } from './cgroups.ts';
import { fileError } from './file-error.ts';
import { keepsRunRoot, type RootlessUser } from './rootless.ts';

/** Where Tare keeps what. All absolute. */
export interface EngineOptions {
  /** Container records, writable layers of `host:` and `rootfs:` containers, caches. Must be on a file system that overlayfs accepts as upper layer. */
  readonly root: string;
  /** Sockets and the shared mount point; gone after a reboot. */
  readonly runRoot: string;
  /** containers/storage graph root (shared with podman). */
  readonly storageRoot: string;
  /** containers/storage run root. */
  readonly storageRunRoot: string;
  /** How to run the command line again: the monitor calls `[...self, 'cleanup', ID]` after an exit that no client cleans up. */
  readonly self: readonly string[];
  /** Who makes the containers' cgroups; default cgroupfs, for a user without a delegated cgroup systemd. */
  readonly cgroupManager?: CgroupManager;
  /** Parent of the containers' cgroups; with systemd a slice. */
  readonly cgroupParent?: string;
  /** Network of a container that asks for none in particular: as `--network` takes it. Default: `bridge`; where a container cannot have that, `none`. */
  readonly defaultNetwork?: string;
  /** Keep the compressed blobs of pulled layers, so that pushing an image elsewhere sends the same bytes (default true). */
  readonly keepBlobs?: boolean;
  /** The user's environment and id: where credentials, certificates and proxies of registries are. Default: none, 0. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly uid?: number;
  /** For an unprivileged user, in whose namespace this process is. */
  readonly rootless?: RootlessUser;
  /** The fuse-overlayfs that storage.conf names as `mount_program`: it mounts all layers of the image store. */
  readonly mountProgram?: string;
  /** Why the image store cannot be used, as the machine is set up. */
  readonly storageProblem?: string;
}

/**
 * The composition root of the engine: paths and lazily opened parts. Use cases are functions that take it as first argument, one file each.
 */
export interface Engine extends EngineOptions {
  readonly containersDir: string;
  readonly namesDir: string;
  readonly trashDir: string;
  /** Directories of containers that run once and remove themselves: in memory, where the run root is. `containersDir` links to them. */
  readonly volatileDir: string;
  /** What such a container has on the disk: writable layers and log. */
  readonly scratchDir: string;
  readonly cacheDir: string;
  /** One directory for each volume (volumes/volume.ts); there when the first is made. */
  readonly volumesDir: string;
  /** Which ids containers have that the image store does not know (id-ranges.ts). */
  readonly idRangesDir: string;
  /** Directory of the monitors' sockets. */
  readonly socketsDir: string;
  /** What happened lately (emit.ts). */
  readonly eventsDir: string;
  /** Empty directory every init attaches its rootfs on, in its own mount namespace. */
  readonly mountPoint: string;
  /** Who makes the cgroups of new containers, and where. */
  readonly cgroups: CgroupChoice;
  readonly keepBlobs: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  /** The run root is there as long as the machine runs: what is of no use after that may be kept in it. */
  readonly keepsRunRoot: boolean;
  /** What every overlay of the engine's is mounted with. */
  readonly overlayOptions: readonly string[];
  /** The image store, opened on first use, without what killed processes left. */
  store(): Promise<Store>;
  /** The same as it is: for a start, which does not wait for that. It calls `store` when there is time. */
  openStore(): Promise<Store>;
}

/** Makes an Engine. Creates nothing; see `ensureLayout`. */
export function createEngine(options: EngineOptions): Engine {
  let cgroups: CgroupChoice | undefined;
  let opened: Promise<Store> | undefined;
  let recovered: Promise<Store> | undefined;
  const openStore = (): Promise<Store> => {
    if (options.storageProblem !== undefined)
      return Promise.reject(new TareError('unsupported', `Cannot open the image store: ${options.storageProblem}`));
    opened ??= import('../storage/store.ts').then(({ Store }) =>
      Store.open({
        graphRoot: options.storageRoot,
        runRoot: options.storageRunRoot,
        userNamespace: options.rootless !== undefined,
        recovery: 'later',
        mountProgram: options.mountProgram !== undefined,
        needsMountProgram: async (dir) => (await import('./fuse-overlay.ts')).needsFuse(engine, dir),
      }),
    );
    return opened;
  };
  const engine: Engine = {
    ...options,
    get cgroups() {
      cgroups ??= cgroupChoice(options);
      return cgroups;
    },
    get keepsRunRoot() {
      return options.rootless === undefined || keepsRunRoot(options.rootless);
    },
    overlayOptions: options.rootless === undefined ? [] : ['userxattr'],
    keepBlobs: options.keepBlobs ?? true,
    env: options.env ?? {},
    uid: options.uid ?? 0,
    containersDir: join(options.root, 'containers'),
    namesDir: join(options.root, 'names'),
    trashDir: join(options.root, 'trash'),
    volatileDir: join(options.runRoot, 'c'),
    scratchDir: join(options.root, 'scratch'),
    cacheDir: join(options.root, 'cache'),
    volumesDir: join(options.root, 'volumes'),
    idRangesDir: join(options.root, 'id-ranges'),
    socketsDir: join(options.runRoot, 's'),
    eventsDir: join(options.runRoot, 'events'),
    mountPoint: join(options.runRoot, 'mnt'),
    openStore,
    store() {
      recovered ??= openStore().then(async (store) => {
        await store.recover();
        return store;
      });
      // The next one who asks tries again.
      recovered.catch(() => (recovered = undefined));
      return recovered;
    },
  };
  return engine;
}

/** Creates the directories of an engine that are missing. */
export function ensureLayout(engine: Engine): void {
  for (const dir of [
    engine.containersDir,
    engine.namesDir,
    engine.trashDir,
    engine.volatileDir,
    engine.scratchDir,
    engine.cacheDir,
    engine.socketsDir,
    engine.eventsDir,
    engine.mountPoint,
  ]) {
    if (existsSync(dir)) continue;
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
    } catch {
      makeDirectory(dir);
    }
  }
}

/** Node calls any failure of a recursive mkdir ENOENT: this one says what it is. */
function makeDirectory(dir: string): void {
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError(error, 'use the root directories');
  }
}

/** The socket of a container's monitor. */
export function socketPath(engine: Engine, id: string): string {
  return join(engine.socketsDir, id);
}
