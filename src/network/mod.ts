/**
 * Networks of containers, without a daemon and without other programs: bridges, addresses, address translation, published ports.
 *
 * What a container holds is tied to its network namespace (its links die with it) and to its life (leases and rules, which the next command collects when it is dead). Nothing here
 * knows what a container is: whoever calls says who lives. Everything can take place in another network namespace than the caller's.
 *
 * Read in this order: network and networks (records, and which subnets are free); leases (who has which address); attachment (what a container has, written first); attach (how that is made and
 * undone); names, name-table and resolver (who is called what, and who answers); bridge; firewall, firewall-table and firewall-contents (what is in the packet filter, and why); egress and egress-rules (what a container may reach); remove-network and reload; sub-link (macvlan and ipvlan).
 * Networks of a user without root are in a namespace that a process keeps: reach-keeper and keeper, way-out and pasta, forward-ports and return-way.
 */
export {
  attach,
  type AttachOptions,
  type Attached,
  connect,
  detach,
  disconnect,
  type JoinWish,
  type PortWish,
} from './attach.ts';
export { type Attachment, type Joined, type Published, readAttachment } from './attachment.ts';
export { Firewall, type FirewallContents, type NetworkRules, type PortRule, type Protocol } from './firewall.ts';
export { Keeper } from './keeper.ts';
export { leases } from './leases.ts';
export { isNamed, renameAttached, reviveNames } from './names.ts';
export { checkNetworkName, type Network, type NetworkDriver, type RecordedSubnet } from './network.ts';
export { lockNetworks, type NetworkPlaces } from './network-places.ts';
export { createNetwork, DEFAULT_NETWORK, findNetwork, listNetworks, type NetworkWish } from './networks.ts';
export { type KeptNetworks, type Purpose, type ReachedKeeper, reachKeeper } from './reach-keeper.ts';
export { reloadNetworks } from './reload.ts';
export { removeNetwork, usersOf } from './remove-network.ts';
export * from './cni/mod.ts';
