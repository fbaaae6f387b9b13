import { closeSync, readFileSync, writeSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { formatSubnet, isV6, overlaps, subnetOf } from '../spec/ip.ts';
import type { FdLike } from '../sys/fd.ts';
import { addAddress } from '../sys/netlink/addresses.ts';
import { addLink, deleteLink, findLink, type Link, setLink } from '../sys/netlink/links.ts';
import { routes } from '../sys/netlink/routes.ts';
import type { NetlinkSocket } from '../sys/netlink/socket.ts';
import { openNetSysctl } from '../sys/network-namespace.ts';
import { macOf } from './mac-address.ts';
import { mtuOf, type Network, rangesOf } from './network.ts';

/**
 * The bridge of a network, made when it is not there, with the gateways' addresses; the machine forwards then. Idempotent: what a killed one left half made is completed.
 *
 * Errors: failed-precondition when the machine has a route to the same addresses by now, or a link of another kind has the name; by errno.
 */
export function ensureBridge(socket: NetlinkSocket, network: Network, netns: FdLike | undefined): Link {
  const found = findLink(socket, network.bridge);
  if (found?.up === true && found.kind === 'bridge') {
    forward(network, netns);
    return found;
  }
  if (found !== undefined && found.kind !== 'bridge')
    throw new TareError(
      'failed-precondition',
      `Cannot bring up network ${network.name}: a link ${network.bridge} is there that is no bridge; remove it`,
    );
  const ranges = rangesOf(network);
  const bridge = found ?? makeBridge(socket, network);
  for (const { to, prefix, index } of routes(socket))
    for (const { subnet } of ranges)
      if (prefix > 0 && index !== bridge.index && overlaps(subnet, subnetOf(to, prefix))) {
        socket.request([deleteLink(network.bridge)]);
        throw new TareError(
          'failed-precondition',
          `Cannot bring up network ${network.name}: the machine has a route to ${formatSubnet(subnetOf(to, prefix))} already; make a network with another subnet`,
        );
      }
  setNetSysctl(netns, `ipv4/conf/${network.bridge}/route_localnet`, '1');
  if (ranges.some(({ subnet }) => isV6(subnet.address))) {
    setNetSysctl(netns, `ipv6/conf/${network.bridge}/accept_ra`, '0');
    // Without it, the bridge has no address to ask for neighbours with for its first two seconds.
    setNetSysctl(netns, `ipv6/conf/${network.bridge}/accept_dad`, '0');
  }
  // Up comes last: one that is up is complete.
  socket.request([
    ...ranges.map(({ subnet, gateway }) =>
      addAddress({ address: gateway, prefix: subnet.prefix, index: bridge.index }),
    ),
    setLink(bridge.index, { up: true }),
  ]);
  forward(network, netns);
  return bridge;
}

function makeBridge(socket: NetlinkSocket, network: Network): Link {
  const mtu = mtuOf(network);
  const [range] = rangesOf(network);
  socket.request([
    addLink(
      {
        name: network.bridge,
        // Otherwise it changes with its ports.
        ...(range === undefined ? {} : { mac: macOf(range.gateway) }),
        ...(mtu === undefined ? {} : { mtu }),
      },
      { kind: 'bridge' },
    ),
  ]);
  const made = findLink(socket, network.bridge);
  if (made === undefined)
    throw new TareError('unavailable', `Cannot bring up network ${network.name}: its bridge was deleted`);
  return made;
}

/** What leaves a network has to be forwarded; for IPv6 that is of all links, so only where a network has IPv6. */
function forward(network: Network, netns: FdLike | undefined): void {
  if (network.internal) return;
  setNetSysctl(netns, 'ipv4/ip_forward', '1');
  if (network.subnets.some(({ subnet }) => subnet.includes(':'))) setNetSysctl(netns, 'ipv6/conf/all/forwarding', '1');
}

/** Sets a sysctl of a network namespace, unless it is so already. Errors: by errno; `denied` where /proc/sys is read-only. */
export function setNetSysctl(netns: FdLike | undefined, name: string, value: string): void {
  using now = openNetSysctl(netns, name, 'read');
  if (readFileSync(now.number, 'utf8').trim() === value) return;
  const file = openNetSysctl(netns, name, 'write').release();
  try {
    writeSync(file, value);
  } finally {
    closeSync(file);
  }
}
