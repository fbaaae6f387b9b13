import { readFileSync } from 'node:fs';
import { type StorageConf, readStorageConf, storageConfPaths } from '../storage/storage-conf.ts';

/** Where the image store of this machine is. */
export interface StoragePlaces {
  readonly storageRoot: string;
  readonly storageRunRoot: string;
  /** Why it cannot be used there. */
  readonly storageProblem?: string;
}

/** The store that podman and buildah use on this machine: as storage.conf says (or the file that `CONTAINERS_STORAGE_CONF` names), otherwise in its usual place. */
export function storagePlaces(env: Readonly<Record<string, string | undefined>>): StoragePlaces {
  const conf = firstConf(env['CONTAINERS_STORAGE_CONF']);
  const problem = problemOf(conf);
  return {
    storageRoot: conf.graphRoot ?? '/var/lib/containers/storage',
    storageRunRoot: conf.runRoot ?? '/run/containers/storage',
    ...(problem === undefined ? {} : { storageProblem: problem }),
  };
}

function problemOf(conf: StorageConf): string | undefined {
  const [setting] = conf.unsupported;
  if (setting !== undefined) return `storage.conf sets ${setting}, which is not supported`;
  if (conf.driver === undefined || conf.driver === 'overlay' || conf.driver === 'overlay2') return undefined;
  return `storage.conf sets driver ${conf.driver}; only overlay is supported`;
}

function firstConf(given: string | undefined): StorageConf {
  for (const path of given === undefined || given === '' ? storageConfPaths : [given]) {
    try {
      return readStorageConf(readFileSync(path, 'utf8'));
    } catch {
      // Not there, or not for us: the next one.
    }
  }
  return { unsupported: [] };
}
