import { TareError } from '../base/errors.ts';
import { probePort } from '../network/forward-ports.ts';
import { startPasta } from '../network/pasta.ts';
import type { Fd } from '../sys/fd.ts';
import { setLink } from '../sys/netlink/links.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import { socketpair } from '../sys/socket.ts';
import type { Engine } from './engine.ts';
import { findProgram } from './find-program.ts';
import { networkPlaces } from './network-ground.ts';
import { pastaOptions } from './pasta-request.ts';
import type { ContainerRecord } from './record.ts';

/**
 * Gives a network namespace a pasta of its own, which ends with what is returned: the monitor's. Whoever is killed, pasta does not stay.
 *
 * Errors: not-found without pasta; already-exists, denied or invalid for a port; unavailable with what pasta said.
 */
export async function joinPasta(engine: Engine, record: ContainerRecord, netns: Fd): Promise<Fd> {
  const { ports = [], pasta = [] } = record.net ?? {};
  const program = findProgram('pasta', engine.env['PATH']);
  if (program === undefined)
    throw new TareError(
      'not-found',
      `Cannot start container ${record.name}: --network pasta needs pasta (Debian package passt); there is --network bridge without it`,
    );
  {
    using socket = NetlinkSocket.open('route', netns);
    socket.request([setLink(LOOPBACK, { up: true })]);
  }
  for (const port of ports) probePort(networkPlaces(engine), record.id, port);
  using stack = new DisposableStack();
  const [held, far] = socketpair();
  stack.use(held);
  using _far = far;
  await startPasta(program, netns, far, pastaOptions({ ports, pasta }));
  stack.move();
  return held;
}

const LOOPBACK = 1;
