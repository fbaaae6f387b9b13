import { monotonicMs, sleep } from '../base/clock.ts';
import { isKind, TareError } from '../base/errors.ts';
import { parseAddress } from '../spec/ip.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { bindPort } from '../sys/inet.ts';
import { MAX_FDS_PER_MESSAGE, sendFds, socketpair } from '../sys/socket.ts';
import { attachedContainers, type Published, readAttachment } from './attachment.ts';
import type { NetworkPlaces } from './network-places.ts';

/**
 * Makes ports of the machine a container's: as long as the descriptor is open somewhere, nobody else can bind them, and nobody who has one is disturbed. Nothing listens there: packets are sent
 * on before they would come to a socket. However many ports there are, it is one descriptor: a socket on whose way the others are.
 * One that is taken is waited for, for so long.
 *
 * Errors: already-exists, saying who has a port.
 */
export async function reservePorts(
  places: NetworkPlaces,
  container: string,
  ports: readonly Published[],
  patienceMs = 0,
): Promise<Fd> {
  return tryFor(patienceMs, () => reserveAll(places, container, ports));
}

/** What `take` takes, as soon as those who have it let go, for so long. Errors: of the last time. */
export async function tryFor<T>(patienceMs: number, take: () => T): Promise<T> {
  const deadline = monotonicMs() + patienceMs;
  for (;;) {
    try {
      return take();
    } catch (error) {
      if (!isKind(error, 'already-exists') || monotonicMs() > deadline) throw error;
      await sleep(5);
    }
  }
}

function reserveAll(places: NetworkPlaces, container: string, ports: readonly Published[]): Fd {
  const [near, far] = socketpair();
  using _far = far;
  try {
    for (let at = 0; at < ports.length; at += MAX_FDS_PER_MESSAGE) {
      using stack = new DisposableStack();
      const some = ports.slice(at, at + MAX_FDS_PER_MESSAGE).map((port) => reserve(places, container, port));
      const sockets = some.filter((socket) => socket !== undefined);
      for (const socket of sockets) stack.use(socket);
      if (sockets.length > 0) sendFds(far, Uint8Array.of(0), sockets);
    }
    return near;
  } catch (error) {
    near.close();
    throw error;
  }
}

/** Undefined where the kernel has no such protocol of its own: it forwards it all the same. */
function reserve(places: NetworkPlaces, container: string, port: Published): Fd | undefined {
  const any = port.address.includes(':') ? '::' : '0.0.0.0';
  const address = parseAddress(port.hostAddress ?? any);
  const bind = (shares: boolean): Fd => bindPort(port.protocol, address, port.hostPort, places.netns, shares);
  try {
    return bind(false);
  } catch (error) {
    if (isErrno(error, 'EPROTONOSUPPORT', 'ESOCKTNOSUPPORT')) return undefined;
    if (!isErrno(error, 'EADDRINUSE')) throw cannotBind(port, error);
  }
  try {
    // It may be no more than connections of before that are still waiting for their end.
    return bind(true);
  } catch (error) {
    throw isErrno(error, 'EADDRINUSE') ? portTaken(places, container, [port]) : error;
  }
}

/** The error of a port that cannot be bound, whoever else has it. */
export function cannotBind(port: Published, cause: unknown): unknown {
  if (isErrno(cause, 'EADDRNOTAVAIL'))
    return new TareError('invalid', `Cannot publish ${showPort(port)}: it is no address of this machine`, { cause });
  if (isErrno(cause, 'EACCES'))
    return new TareError(
      'denied',
      `Cannot publish ${showPort(port)}: low ports are root's; use another one, or have root allow it: sysctl net.ipv4.ip_unprivileged_port_start=${port.hostPort}`,
      { cause },
    );
  return cause;
}

/** The error of a port that somebody else has. */
export function portTaken(places: NetworkPlaces, container: string, ports: readonly Published[]): TareError {
  const owners = attachedContainers(places).filter((other) => other !== container);
  for (const port of ports)
    for (const owner of owners)
      if (readAttachment(places, owner)?.ports.some((one) => meet(one, port)) === true)
        return new TareError(
          'already-exists',
          `Cannot publish ${showPort(port)}: container ${owner.slice(0, 12)} has it`,
        );
  const shown = ports.map(showPort).join(', ');
  return new TareError('already-exists', `Cannot publish ${shown}: a program of this machine uses it`);
}

function meet(a: Published, b: Published): boolean {
  const sameAddress = a.hostAddress === undefined || b.hostAddress === undefined || a.hostAddress === b.hostAddress;
  return a.hostPort === b.hostPort && a.protocol === b.protocol && sameAddress;
}

/** For people: `0.0.0.0:8080/tcp`. */
function showPort({ hostAddress, hostPort, protocol, address }: Published): string {
  const host = hostAddress ?? (address.includes(':') ? '::' : '0.0.0.0');
  return `${host.includes(':') ? `[${host}]` : host}:${hostPort}/${protocol}`;
}
