import { TareError } from '../../base/errors.ts';
import { checkAttachmentKey, ContainerState } from './attachments.ts';
import { parseCniNetwork } from './cni-network.ts';
import { type CniGround, lockPatience } from './delete.ts';
import { pluginConfig } from './plugin-config.ts';
import { runPlugin } from './run-plugin.ts';
import { isAtLeast } from './spec-version.ts';

/**
 * Asks each plugin whether a container's network is as its ADD left it (CHECK, since 0.4.0). Does nothing where the configuration says `disableCheck`.
 *
 * Errors: those of the plugins: something is wrong; failed-precondition for a container that is not in it; unsupported with an older version; cancelled.
 */
export async function checkCni(
  ground: CniGround,
  containerId: string,
  ifname: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const { signal } = options;
  checkAttachmentKey(containerId, ifname);
  using state = await ContainerState.open(ground.stateDir, containerId, lockPatience(ground), signal);
  const attachment = state.read(ifname);
  if (attachment?.result === undefined)
    throw new TareError(
      'failed-precondition',
      `Cannot check container ${containerId.slice(0, 12)}: it has no ${ifname} in a CNI network`,
    );
  const network = parseCniNetwork(attachment.conf, attachment.path);
  if (network.disableCheck) return;
  const { cniVersion, capabilityArgs, result: prevResult, pluginDirs } = attachment;
  if (!isAtLeast(cniVersion, '0.4.0'))
    throw new TareError(
      'unsupported',
      `Cannot check CNI network ${network.name}: its cniVersion ${cniVersion} has no CHECK (0.4.0 has)`,
    );
  for (const plugin of network.plugins) {
    const config = pluginConfig(network, plugin, cniVersion, { capabilityArgs, prevResult });
    const call = { command: 'CHECK', ...attachment } as const;
    await runPlugin({ ...ground, pluginDirs }, plugin.type, call, config, { held: [state.lock], signal });
  }
}
