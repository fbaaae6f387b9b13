import { rmSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { deleteLink } from '../sys/netlink/links.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import { withdraw } from './attach.ts';
import { attachedContainers, readAttachment } from './attachment.ts';
import { Firewall } from './firewall.ts';
import { hasOwnParent, type Network, rulesOf } from './network.ts';
import { leasesDir, lockNetworks, type NetworkPlaces } from './network-places.ts';
import { deleteNetworkRecord } from './networks.ts';

/** Containers that are in a network now, by id. */
export function usersOf(places: NetworkPlaces, network: Network): string[] {
  return attachedContainers(places).filter(
    (container) => readAttachment(places, container)?.networkIds.includes(network.id) === true,
  );
}

/**
 * Removes a network that no living container is in: its bridge or what it has instead, its rules, its leases, and last its record, so that a kill leaves a network that can be used, or removed again.
 *
 * Errors: failed-precondition, naming a container that is in it.
 */
export async function removeNetwork(places: NetworkPlaces, network: Network): Promise<void> {
  using _lock = await lockNetworks(places);
  for (const user of usersOf(places, network)) {
    if (places.isAlive(user))
      throw new TareError(
        'failed-precondition',
        `Cannot remove network ${network.name}: container ${user.slice(0, 12)} is in it; stop or disconnect it first`,
      );
    withdraw(places, user);
  }
  using socket = NetlinkSocket.open('route', places.netns);
  if (network.driver === 'bridge') {
    socket.request([deleteLink(network.bridge)]);
    using firewall = new Firewall(places.table, places.netns);
    firewall.removeNetwork(rulesOf(network));
  } else if (hasOwnParent(network)) socket.request([deleteLink(network.bridge)]);
  rmSync(leasesDir(places, network.id), { recursive: true, force: true });
  deleteNetworkRecord(places, network);
}
