import { machineAddresses } from '../network/machine-addresses.ts';
import { type Purpose, reachKeeper } from '../network/reach-keeper.ts';
import { networkNamespace } from '../sys/network-namespace.ts';
import { connectUnix, peerCredentials } from '../sys/socket.ts';
import { type Engine, socketPath } from './engine.ts';
import { findProgram } from './find-program.ts';
import { type Ground, networkPlaces } from './network-ground.ts';

/** Where the networks of an unprivileged user take place: a namespace of theirs, which a process keeps as long as they are used. Errors: as `reachKeeper`. */
export async function userGround(engine: Engine, purpose: Purpose): Promise<Ground> {
  const places = networkPlaces(engine);
  using stack = new DisposableStack();
  const pasta = findProgram('pasta', engine.env['PATH']);
  const reached = await reachKeeper({ places, monitorOf: (id) => monitorOf(engine, id), pasta }, purpose);
  // Without a keeper nothing of networks is anywhere: a namespace in which nothing is says the same.
  const keeper = reached === undefined ? undefined : stack.use(reached.keeper);
  const netns = keeper?.netns ?? stack.use(networkNamespace());
  const { v4, v6 } = machineAddresses();
  const machine = v4 ?? v6;
  const kept = stack.move();
  return {
    places: { ...places, netns, ...(keeper === undefined ? {} : { keeper }) },
    warnings: reached?.warnings ?? [],
    held: keeper === undefined ? [] : [keeper.connection, keeper.netns],
    ...(machine === undefined ? {} : { machine }),
    [Symbol.dispose]: () => kept.dispose(),
  };
}

/** The monitor of a container that lives: who listens on its socket. */
function monitorOf(engine: Engine, id: string): number | undefined {
  try {
    using socket = connectUnix(socketPath(engine, id));
    return peerCredentials(socket).pid;
  } catch {
    return undefined;
  }
}
