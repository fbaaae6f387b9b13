import { TareError, isKind } from '../base/errors.ts';
import {
  clearAuths,
  findCredentials,
  helperErase,
  helperFor,
  helperStore,
  readAuthFile,
  registryFiles,
  serverOf,
  writeAuth,
  type Credentials,
} from '../registry/mod.ts';
import { parseRepositoryPath, type RepositoryPath } from '../spec/mod.ts';
import { registriesFor, type RegistryAccess } from './registries.ts';

/** What credentials are kept for: a registry, or a part of one. */
export interface LoginKey {
  readonly domain: string;
  readonly path?: RepositoryPath;
  /** As in auth files: `HOST[:PORT][/PATH]`. */
  readonly text: string;
}

/** `HOST[:PORT][/NAMESPACE[/REPOSITORY]]`; `https://` before it and `/v1/` or `/v2/` after it are let pass. Errors: `invalid`. */
export function parseLoginKey(text: string): LoginKey {
  const bare = text.replace(/^https?:\/\//, '').replace(/\/(?:v[12])?\/*$/, '');
  const slash = bare.indexOf('/');
  const host = slash < 0 ? bare : bare.slice(0, slash);
  if (!/^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?$/.test(host) || host.length > 260)
    throw new TareError('invalid', `Cannot use registry ${JSON.stringify(text.slice(0, 300))}: it is not a host name`);
  const domain = host === 'index.docker.io' || host === 'registry-1.docker.io' ? 'docker.io' : host;
  if (slash < 0) return { domain, text: domain };
  const path = parseRepositoryPath(bare.slice(slash + 1));
  return { domain, path, text: `${domain}/${path}` };
}

/**
 * Asks the registry whether it takes the credentials, and keeps them if so: with the helper that the auth file names, otherwise in the auth file itself.
 *
 * Errors: `denied` when they are not accepted; those of connections, auth files and helpers.
 */
export async function login(
  access: RegistryAccess,
  key: LoginKey,
  credentials: { readonly username: string; readonly password: string },
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  await checkLogin(access, key, credentials, options);
  const { loginFile } = registryFiles(access.env, access.uid, access.authFile);
  const helper = helperFor(readAuthFile(loginFile), key.text);
  if (helper === undefined) writeAuth(loginFile, key.text, credentials);
  else await helperStore(helper, serverOf(key.text), credentials, { env: access.env });
}

/** Resolves when the registry takes the credentials. Errors: `denied` when not; those of connections. */
export async function checkLogin(
  access: RegistryAccess,
  key: LoginKey,
  credentials: Credentials,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const registries = registriesFor({ ...access, credentials });
  using client = registries.open(await registries.toHost(key.domain));
  await client.ping(options);
}

/** The credentials that are kept for `key` or for what it is part of; undefined when there are none. Errors: those of auth files and helpers. */
export function existingLogin(access: RegistryAccess, key: LoginKey): Promise<Credentials | undefined> {
  const { authFiles } = registryFiles(access.env, access.uid, access.authFile);
  return findCredentials(authFiles, key.domain, key.path, { env: access.env });
}

/**
 * Forgets the credentials for `key` that a login keeps.
 *
 * Errors: `not-found` when there are none; `failed-precondition` when another tool keeps them, in a file that is not ours to change.
 */
export async function logout(access: RegistryAccess, key: LoginKey): Promise<void> {
  const { loginFile, authFiles } = registryFiles(access.env, access.uid, access.authFile);
  const file = readAuthFile(loginFile);
  const helper = helperFor(file, key.text);
  const helped = helper !== undefined && (await existingLogin({ ...access, authFile: loginFile }, key)) !== undefined;
  if (helper !== undefined) await helperErase(helper, serverOf(key.text), { env: access.env });
  const removed = [key.text, serverOf(key.text)].map((name) => writeAuth(loginFile, name, undefined)).includes(true);
  if (removed || helped) return;
  const others = authFiles.filter((path) => path !== loginFile);
  const kept = await findCredentials(others, key.domain, key.path, { env: access.env });
  if (kept !== undefined)
    throw new TareError(
      'failed-precondition',
      `Cannot log out of ${key.text}: its credentials are in a file of another tool; use that tool, or name the file with --authfile`,
    );
  throw new TareError('not-found', `Cannot log out of ${key.text}: not logged in`);
}

/** Forgets every credential that logins keep. Errors: those of auth files and helpers. */
export async function logoutAll(access: RegistryAccess): Promise<void> {
  const { loginFile } = registryFiles(access.env, access.uid, access.authFile);
  const file = readAuthFile(loginFile);
  if (file === undefined) return;
  for (const key of new Set([...file.credHelpers.keys(), ...file.keys])) {
    const helper = helperFor(file, key);
    if (helper === undefined) continue;
    try {
      await helperErase(helper, serverOf(key), { env: access.env });
    } catch (error) {
      // A helper that is not installed keeps nothing.
      if (!isKind(error, 'not-found')) throw error;
    }
  }
  clearAuths(loginFile);
}
