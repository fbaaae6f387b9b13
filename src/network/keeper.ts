import { TareError } from '../base/errors.ts';
import { isV6, parseAddress } from '../spec/ip.ts';
import { isErrno, SysError } from '../sys/error.ts';
import type { Fd, FdLike } from '../sys/fd.ts';
import { connectUnix, recvFds, sendFds, setReceiveTimeout } from '../sys/socket.ts';
import type { Published } from './attachment.ts';

const asks = { tcp: 1, udp: 2, process: 3, wayOut: 4 } as const;
const FLAG_TRANSPARENT = 1;
const REQUEST_BYTES = 24;
const ANSWER_BYTES = 4;
/** It answers at once, or it was killed. */
const TIMEOUT_MS = 10_000;

/**
 * A connection to the keeper of a user's networks (native/network): a process in their namespace, which is there as long as somebody is connected, and a moment longer. What was asked for by a
 * connection ends with the last descriptor of it.
 */
export class Keeper implements Disposable {
  /** The namespace of the user's bridges. */
  readonly netns: Fd;
  /** For who is to keep the connection, and what was asked for by it. */
  readonly connection: Fd;
  /** Whether packets leave the namespace. */
  readonly hasWayOut: boolean;

  private constructor(connection: Fd, netns: Fd, hasWayOut: boolean) {
    this.connection = connection;
    this.netns = netns;
    this.hasWayOut = hasWayOut;
  }

  /** Undefined: there is none, or it is just leaving. Errors: by errno of the socket's directory. */
  static connect(path: string): Keeper | undefined {
    using stack = new DisposableStack();
    try {
      const connection = stack.use(connectUnix(path));
      setReceiveTimeout(connection, TIMEOUT_MS);
      const { bytes, fds } = recvFds(connection, 1, 1);
      for (const fd of fds) stack.use(fd);
      const [netns] = fds;
      if (netns === undefined) return undefined;
      stack.move();
      return new Keeper(connection, netns, bytes[0] === 1);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE')) return undefined;
      throw error;
    }
  }

  /**
   * Forwards what comes to a socket of the machine, which listens or is bound, to a port in the namespace. With `transparent` the container sees the client's address. The socket may be closed here.
   *
   * Errors: by errno; unavailable when the keeper was killed.
   */
  forward(port: Published, socket: FdLike, transparent: boolean): void {
    const address = parseAddress(port.address);
    const request = Buffer.alloc(REQUEST_BYTES);
    request.set([port.protocol === 'udp' ? asks.udp : asks.tcp, transparent ? FLAG_TRANSPARENT : 0]);
    request[2] = isV6(address) ? 6 : 4;
    request.writeUInt16BE(port.port, 4);
    request.set(address, 8);
    this.#ask(request, [socket]);
  }

  /** What this connection asked for ends with a process, by pidfd, instead of with the connection. */
  endWith(process: FdLike): void {
    this.#ask(Buffer.alloc(REQUEST_BYTES).fill(asks.process, 0, 1), [process]);
  }

  /** This connection is there as long as packets leave the namespace: nobody stays for it. */
  beWayOut(): void {
    this.#ask(Buffer.alloc(REQUEST_BYTES).fill(asks.wayOut, 0, 1), []);
  }

  #ask(request: Buffer, fds: readonly FdLike[]): void {
    try {
      sendFds(this.connection, request, fds);
      const { bytes } = recvFds(this.connection, ANSWER_BYTES, 0);
      const errno = bytes.length === ANSWER_BYTES ? bytes.readInt32LE() : undefined;
      if (errno === 0) return;
      if (errno !== undefined) throw new SysError('forward', errno);
    } catch (error) {
      if (!isErrno(error, 'EPIPE', 'ECONNRESET')) throw error;
    }
    throw new TareError(
      'unavailable',
      "Cannot use the user's networks: the process that keeps them was killed; try again",
    );
  }

  [Symbol.dispose](): void {
    this.connection.close();
    this.netns.close();
  }
}
