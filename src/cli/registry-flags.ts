import { resolve } from 'node:path';
import type { RegistryAccess } from '../engine/registries.ts';
import { rootlessUser } from '../engine/rootless.ts';
import type { Credentials } from '../registry/credentials.ts';
import type { Host } from './context.ts';
import { UsageError } from './usage-error.ts';

/** Flags of every verb that speaks to a registry. */
export const registryFlags = {
  authfile: { type: 'text', value: 'FILE', help: 'File of credentials (REGISTRY_AUTH_FILE)' },
  'cert-dir': { type: 'text', value: 'DIR', help: 'Certificates of the registry: *.crt, *.cert and *.key' },
  'tls-verify': { type: 'switch', help: 'Require https with a trusted certificate (default: as registries.conf says)' },
} as const;

/** The flag of verbs that take credentials without a login. */
export const credsFlag = {
  creds: { type: 'text', value: 'USER[:PASSWORD]', help: 'Credentials for the registry, instead of those of a login' },
} as const;

/** The user's own id, also in the user's namespace. */
function callerUid(env: Host['env']): number {
  const uid = process.getuid?.() ?? 0;
  return uid === 0 ? (rootlessUser(env, uid)?.uid ?? uid) : uid;
}

/** How a verb with `registryFlags` reaches registries. */
export function registryAccess(
  context: Pick<Host, 'cwd' | 'env'>,
  values: {
    readonly authfile?: string | undefined;
    readonly 'cert-dir'?: string | undefined;
    readonly 'tls-verify'?: boolean | undefined;
    readonly creds?: string | undefined;
  },
): RegistryAccess {
  const at = (path: string | undefined): string | undefined =>
    path === undefined || path === '' ? undefined : resolve(context.cwd, path);
  const authFile = at(values.authfile ?? context.env['REGISTRY_AUTH_FILE']);
  const certDir = at(values['cert-dir']);
  return {
    env: context.env,
    uid: callerUid(context.env),
    ...(authFile !== undefined && { authFile }),
    ...(certDir !== undefined && { certDir }),
    ...(values.creds !== undefined && { credentials: credentialsOf(values.creds) }),
    ...(values['tls-verify'] !== undefined && { tlsVerify: values['tls-verify'] }),
  };
}

function credentialsOf(text: string): Credentials {
  const colon = text.indexOf(':');
  const username = colon < 0 ? text : text.slice(0, colon);
  if (username === '') throw new UsageError('Cannot use --creds: it has no user name');
  return { username, password: colon < 0 ? '' : text.slice(colon + 1) };
}
