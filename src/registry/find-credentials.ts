import type { RepositoryPath } from '../spec/mod.ts';
import { readAuthFile, type AuthFile } from './auth-file.ts';
import { helperGet, type HelperOptions } from './credential-helper.ts';
import type { Credentials } from './credentials.ts';

/** docker.io by the name Docker keeps it under. */
const DOCKER_KEY = 'https://index.docker.io/v1/';

/**
 * The credentials for a registry, or for a repository of it, in the first of `paths` that has some: by the longest key that fits (`HOST/NAMESPACE/REPOSITORY` down to `HOST`),
 * then by Docker's older keys (addresses). Within a file a helper named for the key comes before an entry, and a helper for everything after it.
 *
 * Errors: those of `readAuthFile` and `helperGet`.
 */
export async function findCredentials(
  paths: readonly string[],
  registry: string,
  repository: RepositoryPath | undefined,
  helpers: HelperOptions,
): Promise<Credentials | undefined> {
  for (const path of paths) {
    const file = readAuthFile(path);
    const found = file && (await inFile(file, keysOf(registry, repository), helpers));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The helper that keeps the credentials of exactly `key` when they are to be stored in `file`. */
export function helperFor(file: AuthFile | undefined, key: string): string | undefined {
  const named = file?.credHelpers.get(key) ?? (key === 'docker.io' ? file?.credHelpers.get(DOCKER_KEY) : undefined);
  return named ?? file?.credsStore;
}

/** What a helper knows `key` as. */
export function serverOf(key: string): string {
  return key === 'docker.io' ? DOCKER_KEY : key;
}

/** The keys that may hold credentials, longest first: `HOST/A/B`, `HOST/A`, `HOST`. */
export function keysOf(registry: string, repository: string | undefined): string[] {
  const keys: string[] = [];
  for (let key = repository === undefined ? registry : `${registry}/${repository}`; ;) {
    keys.push(key);
    const slash = key.lastIndexOf('/');
    if (slash < 0) return keys;
    key = key.slice(0, slash);
  }
}

async function inFile(
  file: AuthFile,
  keys: readonly string[],
  helpers: HelperOptions,
): Promise<Credentials | undefined> {
  const registry = keys.at(-1) ?? '';
  for (const key of keys) {
    const helper = file.credHelpers.get(key) ?? (key === 'docker.io' ? file.credHelpers.get(DOCKER_KEY) : undefined);
    const kept = helper === undefined ? undefined : await helperGet(helper, serverOf(key), helpers);
    const found = kept ?? file.auths.get(key);
    if (found !== undefined) return found;
  }
  for (const [key, credentials] of file.auths) if (isAddressOf(key, registry)) return credentials;
  return file.credsStore === undefined ? undefined : helperGet(file.credsStore, serverOf(registry), helpers);
}

/** True for Docker's older keys of `registry`: `https://HOST/v1/`, and the several names of docker.io. */
function isAddressOf(key: string, registry: string): boolean {
  const bare = key.replace(/^https?:\/\//, '');
  const host = bare === key ? key : (bare.split('/', 1)[0] ?? '');
  return oneName(host) === oneName(registry);
}

function oneName(host: string): string {
  return host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
}
