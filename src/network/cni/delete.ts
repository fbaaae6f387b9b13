import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  attachmentsOf,
  type CniAttachment,
  checkAttachmentKey,
  checkContainerId,
  ContainerState,
} from './attachments.ts';
import { CniError } from './cni-error.ts';
import { parseCniNetwork } from './cni-network.ts';
import { isNamespace } from './is-namespace.ts';
import { pluginConfig } from './plugin-config.ts';
import { type PluginGround, runPlugin } from './run-plugin.ts';
import { isAtLeast } from './spec-version.ts';

/** Where CNI networks are: how plugins are run, and what is remembered of containers. */
export interface CniGround extends PluginGround {
  /** What containers have, kept over a reboot: plugins keep addresses on the disk. */
  readonly stateDir: string;
}

const PATIENCE_MS = 60_000;
/** Code of the specification: there is nothing to clean up. */
const CONTAINER_UNKNOWN = 3;

/** So long somebody else may be at a container: as a plugin may take. */
export const lockPatience = ({ timeoutMs = PATIENCE_MS }: PluginGround): number => timeoutMs;

/**
 * Takes a container out of a network: DEL of each plugin in reverse order, as it was added: also an ADD that failed half way, or whose caller was killed. Idempotent. It fails where a plugin does, and can be called
 * again then.
 *
 * Errors: those of the plugins; cancelled; deadline.
 */
export async function deleteCni(
  ground: CniGround,
  containerId: string,
  ifname: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  checkAttachmentKey(containerId, ifname);
  if (!attachmentsOf(ground.stateDir, containerId).some((one) => one.ifname === ifname)) return;
  using state = await ContainerState.open(ground.stateDir, containerId, lockPatience(ground), options.signal);
  const attachment = state.read(ifname);
  if (attachment !== undefined) await undo(ground, state, attachment, options.signal);
}

/** The same for all links of a container, the last first; each is tried. Errors: what the first says that failed. */
export async function deleteAllCni(
  ground: CniGround,
  containerId: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  checkContainerId(containerId);
  const failures: unknown[] = [];
  for (const { ifname } of attachmentsOf(ground.stateDir, containerId).reverse())
    await deleteCni(ground, containerId, ifname, options).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
  // Who was killed before there was a record, or after it was gone, left its directory.
  if (existsSync(join(ground.stateDir, containerId)))
    (await ContainerState.open(ground.stateDir, containerId, lockPatience(ground), options.signal))[Symbol.dispose]();
}

/** DEL of an attachment whose state the caller has; then it is forgotten. */
export async function undo(
  ground: CniGround,
  state: ContainerState,
  attachment: CniAttachment,
  signal?: AbortSignal,
): Promise<void> {
  const network = parseCniNetwork(attachment.conf, attachment.path);
  const { cniVersion, capabilityArgs, result } = attachment;
  const prevResult = isAtLeast(cniVersion, '0.4.0') ? result : undefined;
  // Plugins do what they can without.
  const netns = isNamespace(attachment.netns) ? attachment.netns : '';
  for (const plugin of network.plugins.toReversed()) {
    const config = pluginConfig(network, plugin, cniVersion, { capabilityArgs, prevResult });
    const where = { ...ground, pluginDirs: attachment.pluginDirs };
    try {
      await runPlugin(where, plugin.type, { command: 'DEL', ...attachment, netns }, config, {
        held: [state.lock],
        signal,
      });
    } catch (error) {
      if (!(error instanceof CniError) || error.code !== CONTAINER_UNKNOWN) throw error;
    }
  }
  state.remove(attachment.ifname);
}
