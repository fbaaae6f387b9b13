import { formatAddress, isV6 } from '../spec/ip.ts';
import { addresses } from '../sys/netlink/addresses.ts';
import { routes } from '../sys/netlink/routes.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';

/** The machine's own address of each family, on the link by which it reaches the rest of the world: undefined where it has no way there. */
export interface MachineAddresses {
  readonly v4: string | undefined;
  readonly v6: string | undefined;
}

/** Looks them up in the namespace we are in. */
export function machineAddresses(): MachineAddresses {
  using socket = NetlinkSocket.open('route');
  const ways = routes(socket).filter(({ prefix }) => prefix === 0);
  const all = addresses(socket);
  const find = (v6: boolean): string | undefined => {
    const way = ways
      .filter(({ to }) => isV6(to) === v6)
      .sort((a, b) => (a.metric ?? 0) - (b.metric ?? 0))
      .find(({ index }) => index !== undefined);
    const own = all.find(({ address, index }) => index === way?.index && isV6(address) === v6 && !isLinkLocal(address));
    return own === undefined ? undefined : formatAddress(own.address);
  };
  return { v4: find(false), v6: find(true) };
}

/** fe80::/10 */
const isLinkLocal = (address: Uint8Array): boolean =>
  isV6(address) && address[0] === 0xfe && ((address[1] ?? 0) & 0xc0) === 0x80;
