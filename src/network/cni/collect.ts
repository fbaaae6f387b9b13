import { isKind, messageOf, TareError } from '../../base/errors.ts';
import {
  attachmentsOf,
  type CniAttachment,
  containersWithAttachments,
  lockAllState,
  ContainerState,
} from './attachments.ts';
import { chooseVersion } from './choose-version.ts';
import type { CniNetwork } from './cni-network.ts';
import { type CniGround, lockPatience, undo } from './delete.ts';
import { pluginConfig } from './plugin-config.ts';
import { runPlugin } from './run-plugin.ts';
import { isAtLeast } from './spec-version.ts';

/** An attachment that is of use. */
export interface ValidAttachment {
  readonly containerId: string;
  readonly ifname: string;
}

/**
 * Collects what a network has of containers that are gone: DEL of each attachment that we know and that is not `isAlive`, then GC of each plugin (since 1.1.0, unless the configuration says `disableGC`), which
 * may throw away everything else. Only for whoever is alone in using the network: `others` are attachments that are not ours. Nobody joins or leaves any network meanwhile. All is tried.
 *
 * Errors: unavailable, with all that failed; cancelled.
 */
export async function collectCni(
  ground: CniGround,
  network: CniNetwork,
  isAlive: (attachment: ValidAttachment) => boolean,
  options: { readonly others?: readonly ValidAttachment[]; readonly signal?: AbortSignal } = {},
): Promise<void> {
  const { others = [], signal } = options;
  const failures: unknown[] = [];
  const attempt = async (what: Promise<void>): Promise<void> => {
    try {
      await what;
    } catch (error) {
      if (isKind(error, 'cancelled')) throw error;
      failures.push(error);
    }
  };
  for (const one of ofNetwork(ground, network)) await attempt(deleteDead(ground, network, one, isAlive, signal));
  if (!network.disableGc) {
    const cniVersion = await chooseVersion(ground, network, signal);
    if (isAtLeast(cniVersion, '1.1.0')) {
      using _alone = await lockAllState(ground.stateDir, lockPatience(ground), signal);
      const valid = [...ofNetwork(ground, network), ...others].map(({ containerId, ifname }) => ({
        containerID: containerId,
        ifname,
      }));
      // The specification's name, and the one that was in libcni first.
      const extra = { 'cni.dev/valid-attachments': valid, 'cni.dev/attachments': valid };
      for (const plugin of network.plugins) {
        const config = pluginConfig(network, plugin, cniVersion, { extra });
        await attempt(runPlugin(ground, plugin.type, { command: 'GC' }, config, { signal }).then(() => {}));
      }
    }
  }
  if (failures.length > 0)
    throw new TareError(
      'unavailable',
      `Cannot collect CNI network ${network.name}: ${failures.map(messageOf).join('; ')}`,
      {
        cause: failures[0],
      },
    );
}

/** Asks each plugin of a network whether it could do an ADD now (STATUS, since 1.1.0; before, nobody knows, and nothing is asked). Errors: those of the plugins. */
export async function cniStatus(
  ground: CniGround,
  network: CniNetwork,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const cniVersion = await chooseVersion(ground, network, options.signal);
  if (!isAtLeast(cniVersion, '1.1.0')) return;
  for (const plugin of network.plugins)
    await runPlugin(ground, plugin.type, { command: 'STATUS' }, pluginConfig(network, plugin, cniVersion), options);
}

function ofNetwork({ stateDir }: CniGround, { name }: CniNetwork): CniAttachment[] {
  return containersWithAttachments(stateDir)
    .flatMap((container) => attachmentsOf(stateDir, container))
    .filter(({ network }) => network === name);
}

/** Whether it lives is asked when nobody is at it. */
async function deleteDead(
  ground: CniGround,
  network: CniNetwork,
  { containerId, ifname }: CniAttachment,
  isAlive: (attachment: ValidAttachment) => boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  using state = await ContainerState.open(ground.stateDir, containerId, lockPatience(ground), signal);
  const attachment = state.read(ifname);
  if (attachment === undefined || attachment.network !== network.name || isAlive(attachment)) return;
  await undo(ground, state, attachment, signal);
}
