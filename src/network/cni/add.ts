import { TareError } from '../../base/errors.ts';
import { type CniAttachment, checkAttachmentKey, ContainerState } from './attachments.ts';
import { chooseVersion } from './choose-version.ts';
import { CniError } from './cni-error.ts';
import type { CniNetwork } from './cni-network.ts';
import { isNamespace } from './is-namespace.ts';
import { type JsonObject, JsonProblem } from './json.ts';
import { pluginConfig } from './plugin-config.ts';
import { type CniResult, parseResult } from './result.ts';
import { type CniGround, lockPatience, undo } from './delete.ts';
import { runPlugin } from './run-plugin.ts';

/** A container's wish to be in a CNI network. */
export interface CniWish {
  readonly containerId: string;
  /** Name of its link there. */
  readonly ifname: string;
  /** Path of its network namespace: one that stays until the DEL, so that plugins can undo all they did. */
  readonly netns: string;
  /** CNI_ARGS. */
  readonly args?: readonly (readonly [key: string, value: string])[];
  /** By capability, such as `portMappings`, `ips`, `mac`, `bandwidth`, `aliases`, `dns`: each plugin gets those it has. */
  readonly capabilityArgs?: JsonObject;
}

/**
 * Puts a container into a network: ADD of each plugin in turn. What a failure made is undone by DEL of all. Killed at any moment, there is a record of what may have been made: `deleteCni` undoes it, after a plugin that still
 * runs has ended.
 *
 * Errors: those of the plugins; already-exists when the container has a link of that name in a CNI network (or may have: DEL first); invalid; not-found namespace; cancelled.
 */
export async function addCni(
  ground: CniGround,
  network: CniNetwork,
  wish: CniWish,
  options: { readonly signal?: AbortSignal } = {},
): Promise<CniResult> {
  const { signal } = options;
  checkWish(wish);
  const cniVersion = await chooseVersion(ground, network, signal);
  using state = await ContainerState.open(ground.stateDir, wish.containerId, lockPatience(ground), signal);
  const known = state.read(wish.ifname);
  if (known !== undefined)
    throw new TareError(
      'already-exists',
      `Cannot join CNI network ${network.name}: container ${wish.containerId.slice(0, 12)} has ${wish.ifname} in CNI network ${known.network}`,
    );
  const attachment: CniAttachment = {
    version: 1,
    containerId: wish.containerId,
    ifname: wish.ifname,
    network: network.name,
    cniVersion,
    conf: network.text,
    path: network.path,
    netns: wish.netns,
    args: wish.args ?? [],
    capabilityArgs: wish.capabilityArgs ?? {},
    pluginDirs: ground.pluginDirs,
  };
  state.write(attachment);
  try {
    const result = await addAll(ground, network, attachment, state, signal);
    state.write({ ...attachment, result });
    return parseResult(result, cniVersion);
  } catch (error) {
    // What could not be undone is still to be: the record stays.
    await undo(ground, state, attachment).catch(() => {});
    throw error;
  }
}

async function addAll(
  ground: CniGround,
  network: CniNetwork,
  attachment: CniAttachment,
  state: ContainerState,
  signal: AbortSignal | undefined,
): Promise<JsonObject> {
  const { cniVersion, capabilityArgs } = attachment;
  let prevResult: JsonObject | undefined;
  for (const plugin of network.plugins) {
    const config = pluginConfig(network, plugin, cniVersion, { capabilityArgs, prevResult });
    const printed = await runPlugin(ground, plugin.type, { command: 'ADD', ...attachment }, config, {
      held: [state.lock],
      signal,
    });
    const result = { ...printed, cniVersion };
    try {
      parseResult(result, cniVersion);
    } catch (error) {
      if (!(error instanceof JsonProblem)) throw error;
      const request = { plugin: plugin.type, command: 'ADD', network: network.name } as const;
      throw new CniError(request, `its result is wrong: ${error.said}`, { kind: 'invalid' });
    }
    prevResult = result;
  }
  return prevResult ?? {};
}

function checkWish({ containerId, ifname, netns, args = [] }: CniWish): void {
  checkAttachmentKey(containerId, ifname);
  for (const [key, value] of args)
    if (!/^[^=;\s]+$/.test(key) || /[;\p{Cc}]/u.test(value))
      throw new TareError(
        'invalid',
        `Cannot use CNI argument ${JSON.stringify(`${key}=${value}`)}: ; and = mean something else there`,
      );
  if (!netns.startsWith('/') || !isNamespace(netns))
    throw new TareError('not-found', `Cannot join CNI network: ${netns || 'no path'} is no network namespace`);
}
