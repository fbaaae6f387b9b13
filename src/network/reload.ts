import { NetlinkSocket } from '../sys/netlink/socket.ts';
import { withdraw } from './attach.ts';
import { contentsOf } from './firewall-contents.ts';
import { attachedContainers, readAttachment } from './attachment.ts';
import { sweepDyingLinks } from './dying-links.ts';
import { ensureBridge } from './bridge.ts';
import { Firewall } from './firewall.ts';
import { lockNetworks, type NetworkPlaces } from './network-places.ts';
import { rebuildNames } from './names.ts';
import { listNetworks } from './networks.ts';

/** Makes rules and bridges again as they should be, whatever others did to them, and collects what dead containers left. Connections go on. */
export async function reloadNetworks(places: NetworkPlaces): Promise<void> {
  using _lock = await lockNetworks(places);
  sweepDyingLinks(places);
  const used = new Set<string>();
  for (const container of attachedContainers(places)) {
    if (!places.isAlive(container)) withdraw(places, container);
    for (const id of readAttachment(places, container)?.networkIds ?? []) used.add(id);
  }
  using socket = NetlinkSocket.open('route', places.netns);
  for (const network of listNetworks(places))
    if (used.has(network.id) && network.driver === 'bridge') ensureBridge(socket, network, places.netns);
  using firewall = new Firewall(places.table, places.netns);
  firewall.rebuild(contentsOf(places));
  await rebuildNames(places);
}
