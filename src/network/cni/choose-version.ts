import { TareError } from '../../base/errors.ts';
import { CniError } from './cni-error.ts';
import type { CniNetwork } from './cni-network.ts';
import { asList, asText, JsonProblem } from './json.ts';
import { type PluginGround, runPlugin } from './run-plugin.ts';
import { CNI_VERSIONS, type CniVersion, FIRST_VERSION, isCniVersion } from './spec-version.ts';

const MAX_VERSIONS = 64;

/** The versions of the specification that a plugin speaks, as far as they are spoken here (VERSION). Errors: as `runPlugin`. */
export async function pluginVersions(ground: PluginGround, type: string, signal?: AbortSignal): Promise<CniVersion[]> {
  const call = { command: 'VERSION' } as const;
  try {
    const answer = await runPlugin(ground, type, call, { cniVersion: CNI_VERSIONS.at(-1) }, { signal });
    return asList(answer['supportedVersions'], 'supportedVersions', MAX_VERSIONS)
      .map((version, at) => asText(version, `supportedVersions[${at}]`) ?? '')
      .filter(isCniVersion);
  } catch (error) {
    // VERSION came with 0.2.0.
    if (error instanceof CniError && error.message.includes('unknown CNI_COMMAND')) return [FIRST_VERSION];
    if (error instanceof JsonProblem)
      throw new CniError({ plugin: type, command: 'VERSION' }, `its answer is wrong: ${error.said}`, {
        kind: 'invalid',
      });
    throw error;
  }
}

/** The newest version of a network's that its plugins all speak; they are asked only where there is a choice. Errors: unsupported. */
export async function chooseVersion(
  ground: PluginGround,
  network: CniNetwork,
  signal?: AbortSignal,
): Promise<CniVersion> {
  const [newest = FIRST_VERSION, ...older] = network.versions;
  if (older.length === 0) return newest;
  let left: readonly CniVersion[] = network.versions;
  for (const type of new Set(network.plugins.map((plugin) => plugin.type))) {
    const spoken = await pluginVersions(ground, type, signal);
    left = left.filter((version) => spoken.includes(version));
    if (left.length === 0)
      throw new TareError(
        'unsupported',
        `Cannot use CNI network ${network.name}: of its versions ${network.versions.join(', ')} plugin ${type} speaks none that the others do`,
      );
  }
  return left[0] ?? newest;
}
