import { TareError } from '../../base/errors.ts';
import { isCniName, MAX_CNI_NAME } from './cni-name.ts';
import { asFlag, asList, asObject, asText, type JsonObject, JsonProblem, parseObject, unexpected } from './json.ts';
import { type CniVersion, CNI_VERSIONS, FIRST_VERSION, isCniVersion, newestFirst } from './spec-version.ts';

/** One plugin of a network's configuration (CNI 1.1, section 1, "plugin configuration objects"). */
export interface CniPlugin {
  /** Name of its program; no path. */
  readonly type: string;
  /** What of `runtimeConfig` it takes. */
  readonly capabilities: readonly string[];
  /** All of it, as it stands. */
  readonly config: JsonObject;
}

/** A network configuration: a list of plugins that are called one after the other. A single plugin's (`.conf`) is a list of one. */
export interface CniNetwork {
  readonly name: string;
  /** Those of its versions that are spoken here, newest first; at least one. */
  readonly versions: readonly CniVersion[];
  /** CHECK must not be called. */
  readonly disableCheck: boolean;
  /** GC must not be called. */
  readonly disableGc: boolean;
  /** At least one. */
  readonly plugins: readonly CniPlugin[];
  /** File it was read from. */
  readonly path: string;
  /** The text of that file. */
  readonly text: string;
}

const MAX_PLUGINS = 64;
const MAX_VERSIONS = 32;
const MAX_CAPABILITIES = 64;
/** More than any configuration has. */
export const MAX_CONF_BYTES = 1024 * 1024;

/**
 * Reads a network configuration (CNI 0.1 to 1.1): a list (`plugins`) or a single plugin's.
 *
 * Errors: invalid, naming the file and the place in it; unsupported when all its versions are newer than ours.
 */
export function parseCniNetwork(text: string, path: string): CniNetwork {
  try {
    return networkOf(parseObject(text), path, text);
  } catch (error) {
    if (!(error instanceof JsonProblem)) throw error;
    throw new TareError('invalid', `Cannot use CNI configuration ${path}: ${error.said}`, { cause: error });
  }
}

function networkOf(conf: JsonObject, path: string, text: string): CniNetwork {
  const name = nameOf(conf['name'], 'name');
  const isList = conf['plugins'] !== undefined || conf['type'] === undefined;
  const plugins = isList
    ? asList(conf['plugins'], 'plugins', MAX_PLUGINS).map((plugin, at) => pluginOf(plugin, `plugins[${at}]`))
    : [pluginOf(conf, '')];
  if (plugins.length === 0) throw unexpected('plugins', 'at least one plugin');
  return {
    name,
    versions: versionsOf(conf, path),
    disableCheck: asFlag(conf['disableCheck'], 'disableCheck'),
    disableGc: asFlag(conf['disableGC'], 'disableGC'),
    plugins,
    path,
    text,
  };
}

function pluginOf(value: unknown, where: string): CniPlugin {
  const config = asObject(value, where);
  const at = (key: string): string => (where === '' ? key : `${where}.${key}`);
  const capabilities = config['capabilities'] === undefined ? {} : asObject(config['capabilities'], at('capabilities'));
  const names = Object.keys(capabilities);
  if (names.length > MAX_CAPABILITIES) throw unexpected(at('capabilities'), `at most ${MAX_CAPABILITIES}`);
  return {
    type: nameOf(config['type'], at('type')),
    capabilities: names.filter((name) => asFlag(capabilities[name], at(`capabilities.${name}`))),
    config,
  };
}

function nameOf(value: unknown, where: string): string {
  if (typeof value !== 'string' || !isCniName(value))
    throw unexpected(where, `a name of letters, digits, _ . -, of at most ${MAX_CNI_NAME} characters`);
  return value;
}

function versionsOf(conf: JsonObject, path: string): CniVersion[] {
  const first = asText(conf['cniVersion'], 'cniVersion');
  const others = asList(conf['cniVersions'], 'cniVersions', MAX_VERSIONS).map((one, at) =>
    asText(one, `cniVersions[${at}]`),
  );
  const said = [first, ...others].filter((version) => version !== undefined);
  for (const version of said)
    if (!/^\d{1,4}\.\d{1,4}\.\d{1,4}$/.test(version)) throw unexpected('cniVersion', 'a version, such as 1.0.0');
  const known = newestFirst(said.length === 0 ? [FIRST_VERSION] : said.filter(isCniVersion));
  if (known.length === 0)
    throw new TareError(
      'unsupported',
      `Cannot use CNI configuration ${path}: cniVersion ${said.join(', ')}: ${CNI_VERSIONS.join(', ')} are supported`,
    );
  return known;
}
