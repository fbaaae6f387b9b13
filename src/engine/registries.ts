import { Registries, registryFiles, type Credentials } from '../registry/mod.ts';

/** How a user reaches registries: what a door knows of the process, and what was asked for. */
export interface RegistryAccess {
  /** For the places of files, proxies and credential helpers. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  /** The only file of credentials to use; default: the usual ones. */
  readonly authFile?: string;
  /** The only folder with `*.crt`, `*.cert` and `*.key` of the registry; default: the usual ones, by host. */
  readonly certDir?: string;
  /** False: no certificate has to be trusted, and plain http will do. Default: as registries.conf says. */
  readonly tlsVerify?: boolean;
  /** Instead of those in files. */
  readonly credentials?: Credentials;
  /** PEM certificates trusted besides the machine's own. */
  readonly ca?: readonly string[];
}

const proxyKeys = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY', 'https_proxy', 'http_proxy', 'no_proxy'];

/** The registries as `access` reaches them: credentials, certificates, registries.conf, proxies. Reads nothing yet. */
export function registriesFor(access: RegistryAccess): Registries {
  const { env, uid, authFile, certDir, tlsVerify, credentials, ca } = access;
  const proxyEnv = Object.fromEntries(proxyKeys.flatMap((key) => (env[key] ? [[key, env[key]]] : [])));
  return new Registries({
    files: registryFiles(env, uid, authFile),
    env,
    client: { proxyEnv, ...(ca !== undefined && { ca }) },
    ...(certDir !== undefined && { certDir }),
    ...(tlsVerify !== undefined && { tlsVerify }),
    ...(credentials !== undefined && { credentials }),
  });
}
