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
  return requestFd(path, 'mount', 'get the mount from monitor', options);
}

/**
 * Asks the monitor that listens on `path` for the life lock of a container that it cannot start again itself; it leaves with its answer. Errors: as `requestMount`; SysError EBUSY when
 * the container does not wait for that.
 */
export function requestHandOver(path: string): Fd {
  return requestFd(path, 'handOver', 'take the container over from monitor', {});
}

function requestFd(path: string, type: 'mount' | 'handOver', what: string, options: { timeoutMs?: number }): Fd {
  using connection = connectUnix(path);
  setReceiveTimeout(connection, options.timeoutMs ?? 5000);
  sendFds(
    connection,
    Buffer.concat([
      encodeClientFrame({ type: 'hello', version: PROTOCOL_VERSION }),
      encodeClientFrame({ type, req: REQUEST }),
    ]),
  );
  const decoder = FrameDecoder.ofMonitor();
  using stack = new DisposableStack();
  const fds: Fd[] = [];
  for (;;) {
    const received = recvFds(connection, 64 * 1024, 8);
    for (const fd of received.fds) fds.push(stack.use(fd));
    if (received.bytes.length === 0)
      throw new TareError('unavailable', `Cannot ${what} ${path}: it closed the connection`);
    for (const frame of decoder.push(received.bytes)) {
      if (frame.type === 'error' && frame.req === REQUEST) throw new SysError(what, frame.errno, path, frame.text);
      if (frame.type !== 'ok' || frame.req !== REQUEST) continue;
      const [fd] = fds;
      if (fd === undefined) throw new TareError('internal', `Cannot ${what} ${path}: its answer carries no descriptor`);
      return Fd.adopt(fd.release());
    }
  }
}
