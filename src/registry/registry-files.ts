import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { mergeRegistriesConf, parseRegistriesConf, type RegistriesConf } from './registries-conf.ts';

type Env = Readonly<Record<string, string | undefined>>;

/** Where a machine and a user keep what they know of registries. All absolute. */
export interface RegistryFiles {
  /** Auth files in the order they are asked. */
  readonly authFiles: readonly string[];
  /** The auth file that `login` writes. */
  readonly loginFile: string;
  /** The user chose that file: it is the only one. */
  readonly authFileChosen: boolean;
  /** Folders with a folder of certificates for each host. */
  readonly certDirs: readonly string[];
  /** The main registries.conf, the first that is there. */
  readonly registriesConf: readonly string[];
  /** Folders of more of them, later ones win. */
  readonly registriesConfDirs: readonly string[];
}

/**
 * The usual places of a user (containers-auth.json(5), containers-certs.d(5), containers-registries.conf(5)), from an environment. `authFile` is the user's own choice of auth
 * file; REGISTRY_AUTH_FILE is another way to say it.
 */
export function registryFiles(env: Env, uid: number, authFile?: string): RegistryFiles {
  const home = env['HOME'] || '/';
  const config = join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'containers');
  const runtime = env['XDG_RUNTIME_DIR'];
  const runtimeFile = runtime
    ? join(runtime, 'containers/auth.json')
    : join('/run/containers', String(uid), 'auth.json');
  const chosen = authFile ?? (env['REGISTRY_AUTH_FILE'] || undefined);
  const docker = env['DOCKER_CONFIG'] || join(home, '.docker');
  const conf = env['CONTAINERS_REGISTRIES_CONF'];
  return {
    authFiles:
      chosen === undefined
        ? [runtimeFile, join(config, 'auth.json'), join(docker, 'config.json'), join(home, '.dockercfg')]
        : [chosen],
    loginFile: chosen ?? runtimeFile,
    authFileChosen: chosen !== undefined,
    certDirs: [join(config, 'certs.d'), '/etc/containers/certs.d', '/etc/docker/certs.d'],
    registriesConf: conf ? [conf] : [join(config, 'registries.conf'), '/etc/containers/registries.conf'],
    registriesConfDirs: conf ? [] : ['/etc/containers/registries.conf.d', join(config, 'registries.conf.d')],
  };
}

/** What the files say about registries, put together. Files that are not there say nothing. Errors: `invalid`, `unsupported`, `denied`, naming the file. */
export async function readRegistriesConf(
  files: Pick<RegistryFiles, 'registriesConf' | 'registriesConfDirs'>,
): Promise<RegistriesConf> {
  const texts: [path: string, text: string][] = [];
  for (const path of files.registriesConf) {
    const text = textOf(path);
    if (text === undefined) continue;
    texts.push([path, text]);
    break;
  }
  for (const path of files.registriesConfDirs.flatMap(dropIns)) {
    const text = textOf(path);
    if (text !== undefined) texts.push([path, text]);
  }
  return mergeRegistriesConf(await Promise.all(texts.map(([path, text]) => parseRegistriesConf(text, path))));
}

function dropIns(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => name.endsWith('.conf'))
      .sort()
      .map((name) => join(dir, name));
  } catch (error) {
    return absent(error, dir) ?? [];
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return absent(error, path);
  }
}

function absent(error: unknown, path: string): undefined {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
  throw new TareError(code === 'EACCES' ? 'denied' : 'invalid', `Cannot read ${path}: ${code}`, { cause: error });
}
