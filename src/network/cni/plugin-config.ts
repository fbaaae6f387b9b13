import type { CniNetwork, CniPlugin } from './cni-network.ts';
import type { JsonObject } from './json.ts';
import type { CniVersion } from './spec-version.ts';

/**
 * What a plugin gets on its standard input: its own configuration with the network's name and version, of what the runtime has to say what its capabilities are, and the result so far (CNI 1.1, section 3,
 * "deriving runtime configuration").
 */
export function pluginConfig(
  network: CniNetwork,
  plugin: CniPlugin,
  cniVersion: CniVersion,
  more: {
    readonly capabilityArgs?: JsonObject;
    readonly prevResult?: JsonObject | undefined;
    readonly extra?: JsonObject;
  } = {},
): JsonObject {
  const { capabilities: _, runtimeConfig: _old, cniVersions: _list, ...config } = plugin.config;
  const { capabilityArgs = {}, prevResult, extra = {} } = more;
  const wanted = Object.entries(capabilityArgs).filter(([name]) => plugin.capabilities.includes(name));
  return {
    ...config,
    name: network.name,
    cniVersion,
    ...(wanted.length === 0 ? {} : { runtimeConfig: Object.fromEntries(wanted) }),
    ...(prevResult === undefined ? {} : { prevResult }),
    ...extra,
  };
}

/** What at least one plugin of a network takes. */
export function capabilitiesOf({ plugins }: CniNetwork): ReadonlySet<string> {
  return new Set(plugins.flatMap(({ capabilities }) => capabilities));
}
