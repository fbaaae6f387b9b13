import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type StorageConf, readStorageConf, storageConfPaths } from '../storage/storage-conf.ts';
import type { RootlessUser } from './rootless.ts';

/** Where the image store of this machine is. */
export interface StoragePlaces {
  readonly storageRoot: string;
  readonly storageRunRoot: string;
  /** The fuse-overlayfs that mounts its layers, where storage.conf names one. */
  readonly mountProgram?: string;
  /** Why it cannot be used there. */
  readonly storageProblem?: string;
}

/** Where Tare and its image store are, unless the caller says otherwise. */
export interface Places extends StoragePlaces {
  readonly root: string;
  readonly runRoot: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/** The places of the machine's root, or of an unprivileged user. */
export function standardPlaces(env: Env, user: RootlessUser | undefined): Places {
  return {
    root: user === undefined ? '/var/lib/tare' : join(user.dataHome, 'tare'),
    runRoot: user === undefined ? '/run/tare' : join(user.runtimeDir, 'tare'),
    ...storagePlaces(env, user),
  };
}

/**
 * The store that podman and buildah use: as storage.conf says (or the file that `CONTAINERS_STORAGE_CONF` names), otherwise in its usual place. A user has
 * a storage.conf of their own; of the machine's only `driver` and `rootless_storage_path` count for them. A `mount_program` counts if it is a fuse-overlayfs.
 */
export function storagePlaces(env: Env, user?: RootlessUser): StoragePlaces {
  const given = env['CONTAINERS_STORAGE_CONF'];
  const conf =
    given !== undefined && given !== ''
      ? firstConf([given])
      : user === undefined
        ? firstConf(storageConfPaths)
        : {
            ...forUsers(firstConf(storageConfPaths)),
            ...firstConf([join(user.configHome, 'containers/storage.conf')]),
          };
  const expand = (path: string | undefined): string | undefined => path && expandVariables(path, env, user);
  const problem = problemOf(conf);
  return {
    storageRoot:
      expand(conf.graphRoot) ??
      (user === undefined
        ? '/var/lib/containers/storage'
        : (expand(conf.rootlessStoragePath) ?? join(user.dataHome, 'containers/storage'))),
    storageRunRoot:
      expand(conf.runRoot) ?? (user === undefined ? '/run/containers/storage' : join(user.runtimeDir, 'containers')),
    ...(conf.mountProgram === undefined || problem !== undefined ? {} : { mountProgram: conf.mountProgram }),
    ...(problem === undefined ? {} : { storageProblem: problem }),
  };
}

/** What the machine's file says to a user. */
function forUsers({
  graphRoot: _graph,
  runRoot: _run,
  mountProgram: _program,
  forceMask: _mask,
  ...rest
}: StorageConf): StorageConf {
  return rest;
}

/** `$HOME`, `$UID` and other variables of the environment, as podman replaces them. */
function expandVariables(path: string, env: Env, user: RootlessUser | undefined): string {
  return path.replace(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced: string | undefined, bare: string | undefined) => {
    const name = braced ?? bare ?? '';
    return name === 'UID' ? String(user?.uid ?? 0) : (env[name] ?? '');
  });
}

function problemOf(conf: StorageConf): string | undefined {
  const [setting] = conf.unsupported;
  if (setting !== undefined) return `storage.conf sets ${setting}, which is not supported`;
  const { mountProgram, forceMask } = conf;
  if (forceMask !== undefined) return `storage.conf sets force_mask = ${forceMask}, which is not supported`;
  if (mountProgram !== undefined && !/^\/.*fuse-overlayfs[^/]*$/.test(mountProgram))
    return `storage.conf sets mount_program = ${mountProgram}; only fuse-overlayfs is supported, by its absolute path`;
  if (conf.driver === undefined || conf.driver === 'overlay' || conf.driver === 'overlay2') return undefined;
  return `storage.conf sets driver ${conf.driver}; only overlay is supported`;
}

function firstConf(paths: readonly string[]): StorageConf {
  const text = firstText(paths);
  return text === undefined ? { unsupported: [] } : readStorageConf(text);
}

function firstText(paths: readonly string[]): string | undefined {
  for (const path of paths) {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      // Not there, or not for us: the next one.
    }
  }
  return undefined;
}

/** The text of the storage.conf that counts for somebody; '' without one. */
export function storageConfText(env: Env, user?: RootlessUser): string {
  const given = env['CONTAINERS_STORAGE_CONF'];
  const own = user === undefined ? [] : [join(user.configHome, 'containers/storage.conf')];
  return firstText(given !== undefined && given !== '' ? [given] : [...own, ...storageConfPaths]) ?? '';
}
