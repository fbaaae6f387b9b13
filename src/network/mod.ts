/**
 * Networks of containers, without a daemon and without other programs: bridges, addresses, address translation, published ports.
 *
 * What a container holds is tied to its network namespace (its links die with it) and to its life (leases and rules, which the next command collects when it is dead). Nothing here
 * knows what a container is: whoever calls says who lives.
 *
 * Read in this order: firewall and firewall-table (what is in the packet filter, and why).
 */
export { Firewall, type FirewallContents, type NetworkRules, type PortRule, type Protocol } from './firewall.ts';
