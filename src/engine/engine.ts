import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Store } from '../storage/mod.ts';
import type { RegistryAccess } from './registries.ts';
import { fileError } from './file-error.ts';

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
  /** Parent of the containers' cgroups. */
  readonly cgroupParent?: string;
  /** How registries are reached; without it anonymously, and no file of the machine or the user is read for it. */
  readonly registryAccess?: RegistryAccess;
}

/**
 * The composition root of the engine: paths and lazily opened parts. Use cases are functions that take it as first argument, one file each.
 */
export interface Engine extends EngineOptions {
  readonly containersDir: string;
  readonly namesDir: string;
  readonly trashDir: string;
  readonly cacheDir: string;
  /** Directory of the monitors' sockets. */
  readonly socketsDir: string;
  /** Empty directory every init attaches its rootfs on, in its own mount namespace. */
  readonly mountPoint: string;
  readonly cgroupParent: string;
  /** The image store, opened on first use. */
  store(): Promise<Store>;
}

/** Makes an Engine. Creates nothing; see `ensureLayout`. */
export function createEngine(options: EngineOptions): Engine {
  let store: Promise<Store> | undefined;
  return {
    ...options,
    cgroupParent: options.cgroupParent ?? '/tare',
    containersDir: join(options.root, 'containers'),
    namesDir: join(options.root, 'names'),
    trashDir: join(options.root, 'trash'),
    cacheDir: join(options.root, 'cache'),
    socketsDir: join(options.runRoot, 's'),
    mountPoint: join(options.runRoot, 'mnt'),
    store() {
      store ??= import('../storage/mod.ts').then(({ Store }) =>
        Store.open({ graphRoot: options.storageRoot, runRoot: options.storageRunRoot }),
      );
      return store;
    },
  };
}

/** Creates the directories of an engine that are missing. */
export function ensureLayout(engine: Engine): void {
  for (const dir of [
    engine.containersDir,
    engine.namesDir,
    engine.trashDir,
    engine.cacheDir,
    engine.socketsDir,
    engine.mountPoint,
  ]) {
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
