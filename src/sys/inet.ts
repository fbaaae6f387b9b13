import { addon } from './addon.ts';
import { check } from './error.ts';
import { Fd, type FdLike, numberOf } from './fd.ts';
import { socketIn } from './network-namespace.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPPROTO_SCTP = 132;

/**
 * A socket bound to a port of an address of 4 or 16 bytes, which does not listen: whoever wants the port is told that it is in use. IPv6 alone where the address is. With `shares` connections of
 * before do not matter, but others who say so can have the port as well.
 *
 * Errors: by errno, EADDRINUSE above all.
 */
export function bindPort(
  protocol: 'tcp' | 'udp' | 'sctp',
  address: Uint8Array,
  port: number,
  netns: FdLike | undefined,
  shares: boolean,
): Fd {
  const v6 = address.length === 16;
  const type = protocol === 'udp' ? SOCK_DGRAM : SOCK_STREAM;
  const number = protocol === 'sctp' ? IPPROTO_SCTP : 0;
  using socket = socketIn(netns, v6 ? AF_INET6 : AF_INET, type, number);
  const set = (level: number, option: number): number =>
    check(addon().setsockopt(socket.number, level, option, Int32Array.of(1)), 'setsockopt');
  if (v6) set(IPPROTO_IPV6, IPV6_V6ONLY);
  if (shares) set(SOL_SOCKET, SO_REUSEADDR);
  check(addon().bind(socket.number, socketAddress(address, port)), 'bind');
  return Fd.adopt(socket.release());
}

/** Lets clients connect to a bound socket; 4096 may wait (fewer where net.core.somaxconn says so). Errors: by errno, EADDRINUSE when another one listens there. */
export function listenOn(socket: FdLike): void {
  check(addon().listen(numberOf(socket), 4096), 'listen');
}

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(address: Uint8Array, port: number): Buffer {
  const v6 = address.length === 16;
  const bytes = Buffer.alloc(v6 ? 28 : 16);
  bytes.writeUInt16LE(v6 ? AF_INET6 : AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(address, v6 ? 8 : 4);
  return bytes;
}
