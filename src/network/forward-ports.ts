import { TareError } from '../base/errors.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { bindPort, listenOn } from '../sys/inet.ts';
import { parseAddress } from '../spec/ip.ts';
import type { PortWish } from './attach.ts';
import type { Published } from './attachment.ts';
import type { Keeper } from './keeper.ts';
import type { NetworkPlaces } from './network-places.ts';
import { cannotBind, portTaken, tryFor } from './reserve-ports.ts';
import { hasReturnWay } from './return-way.ts';

/**
 * Makes ports of the machine a container's, by sockets that the keeper forwards as long as its connection is there. Nobody else can bind them meanwhile. One that is taken is waited for, for so long.
 *
 * Errors: already-exists, saying who has a port; denied for a port of root's; unsupported for SCTP; as `Keeper.forward`. What was forwarded already ends with the connection.
 */
export async function forwardPorts(
  places: NetworkPlaces,
  keeper: Keeper,
  container: string,
  ports: readonly Published[],
  patienceMs: number,
): Promise<void> {
  const transparent = hasReturnWay(keeper.netns);
  for (const port of ports) {
    using socket = await tryFor(patienceMs, () => hostSocket(places, container, port));
    keeper.forward(port, socket, transparent);
  }
}

/** Refuses a port that somebody else will forward, and could not: its errors are better than theirs. Errors: as `forwardPorts`. */
export function probePort(places: NetworkPlaces, container: string, port: PortWish): void {
  hostSocket(places, container, {
    ...port,
    address: port.hostAddress?.includes(':') === true ? '::' : '0.0.0.0',
  }).close();
}

/** The machine's end of a port. Errors: as `forwardPorts`. */
function hostSocket(places: NetworkPlaces, container: string, port: Published): Fd {
  if (port.protocol === 'sctp')
    throw new TareError(
      'unsupported',
      `Cannot publish port ${port.hostPort}/sctp: only root can; a user can publish tcp and udp`,
    );
  const address = parseAddress(port.hostAddress ?? (port.address.includes(':') ? '::' : '0.0.0.0'));
  try {
    // Of TCP, connections of before that wait for their end do not matter; who listens does.
    const isStream = port.protocol === 'tcp';
    const socket = bindPort(port.protocol, address, port.hostPort, undefined, isStream);
    if (isStream) listenOn(socket);
    return socket;
  } catch (error) {
    throw isErrno(error, 'EADDRINUSE') ? portTaken(places, container, [port]) : cannotBind(port, error);
  }
}
