import { TareError } from '../../base/errors.ts';
import { SysError } from '../error.ts';
import { Fd } from '../fd.ts';
import { connectUnix, recvFds, sendFds, setReceiveTimeout } from '../socket.ts';
import { encodeClientFrame, FrameDecoder, PROTOCOL_VERSION } from './frames.ts';

const REQUEST = 1;

/**
 * Asks the monitor that listens on `path` for a duplicate of its rootfs mount, on a connection of its own and blocking:
 * Node's sockets drop descriptors that arrive. Errors: `not-found`, `unavailable` (no monitor listens, or it went away),
 * `deadline` after `timeoutMs`; by the monitor's errno.
 */
export function requestMount(path: string, options: { timeoutMs?: number } = {}): Fd {
  using connection = connectUnix(path);
  setReceiveTimeout(connection, options.timeoutMs ?? 5000);
  sendFds(
    connection,
    Buffer.concat([
      encodeClientFrame({ type: 'hello', version: PROTOCOL_VERSION }),
      encodeClientFrame({ type: 'mount', req: REQUEST }),
    ]),
  );
  const decoder = FrameDecoder.ofMonitor();
  using stack = new DisposableStack();
  const fds: Fd[] = [];
  for (;;) {
    const received = recvFds(connection, 64 * 1024, 8);
    for (const fd of received.fds) fds.push(stack.use(fd));
    if (received.bytes.length === 0)
      throw new TareError('unavailable', `Cannot get the mount from monitor ${path}: it closed the connection`);
    for (const frame of decoder.push(received.bytes)) {
      if (frame.type === 'error' && frame.req === REQUEST)
        throw new SysError('get the mount from monitor', frame.errno, path, frame.text);
      if (frame.type !== 'ok' || frame.req !== REQUEST) continue;
      const [mount] = fds;
      if (mount === undefined)
        throw new TareError('internal', `Cannot get the mount from monitor ${path}: its answer carries no descriptor`);
      return Fd.adopt(mount.release());
    }
  }
}
