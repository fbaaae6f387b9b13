import { links } from '../sys/netlink/links.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import { attachedContainers, egressRules, portRules, readAttachment } from './attachment.ts';
import type { FirewallContents } from './firewall.ts';
import { rulesOf } from './network.ts';
import type { NetworkPlaces } from './network-places.ts';
import { listNetworks } from './networks.ts';

/** All that the firewall should hold, of containers that live, and of their networks. `without`: one whose ports are still to be asked for. */
export function contentsOf(places: NetworkPlaces, without?: string): FirewallContents {
  const known = new Map(listNetworks(places).map((network) => [network.id, network]));
  const live = attachedContainers(places).flatMap((container) => {
    const attachment = readAttachment(places, container);
    return attachment === undefined || container === without || !places.isAlive(container)
      ? []
      : [{ container, attachment }];
  });
  const isThere = linkLook(places);
  const used = new Set(live.flatMap(({ attachment }) => attachment.networkIds));
  return {
    networks: [...used].flatMap((id) => {
      const network = known.get(id);
      return network === undefined || network.driver !== 'bridge' ? [] : [rulesOf(network)];
    }),
    ports: live.flatMap(({ container, attachment }) => portRules(container, attachment.ports)),
    egress: live
      .flatMap(({ container, attachment }) => egressRules(container, attachment) ?? [])
      .map((rules) => ({ ...rules, links: rules.links.filter(({ link }) => isThere(link)) })),
  };
}

/** Tells whether a link is there, of those that were when it was first asked. */
function linkLook(places: NetworkPlaces): (name: string) => boolean {
  let names: Set<string> | undefined;
  return (name) => {
    if (names === undefined) {
      using socket = NetlinkSocket.open('route', places.netns);
      names = new Set(links(socket).map((link) => link.name));
    }
    return names.has(name);
  };
}
