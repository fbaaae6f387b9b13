import { TareError } from '../base/errors.ts';
import { formatAddress, isV6, parseAddress } from '../spec/ip.ts';
import type { Joined, Published } from './attachment.ts';

/** A port that is to be reached through the machine. */
export interface PortWish {
  readonly protocol: Published['protocol'];
  /** Absent: on all addresses. */
  readonly hostAddress?: string;
  readonly hostPort: number;
  readonly port: number;
}

/** Whether a container reaches others than its neighbours by it. */
export const leadsOut = ({ internal }: Pick<Joined, 'internal'>): boolean => !internal;

/** A port leads to the container's addresses in the first network that leads out. Errors: failed-precondition when there is none. */
export function publishedPorts(ports: readonly PortWish[], networks: readonly Joined[]): Published[] {
  if (ports.length === 0) return [];
  const way = networks.find((one) => leadsOut(one) && one.external !== true);
  const direct = networks.find(leadsOut);
  if (way === undefined && direct !== undefined)
    throw new TareError(
      'failed-precondition',
      `Cannot publish ports: containers of network ${direct.network} are reached at their own addresses, not by this machine's; add a network with a bridge (--network bridge)`,
    );
  if (way === undefined)
    throw new TareError('failed-precondition', 'Cannot publish ports: the container is in no network that leads out');
  return ports.flatMap(({ protocol, hostAddress, hostPort, port }) => {
    const on = hostAddress === undefined ? undefined : parseAddress(hostAddress, 'host address');
    const targets = way.addresses.filter(({ address }) => on === undefined || address.includes(':') === isV6(on));
    if (targets.length === 0)
      throw new TareError(
        'failed-precondition',
        `Cannot publish port ${hostPort} on ${hostAddress}: the container has no address of that family`,
      );
    return targets.map(({ address }) => ({
      protocol,
      ...(on === undefined || on.every((byte) => byte === 0) ? {} : { hostAddress: formatAddress(on) }),
      hostPort,
      address,
      port,
    }));
  });
}
