import { attribute, Attributes, malformed, u32 } from './attributes.ts';
import { NLM_F_CREATE, NLM_F_REPLACE } from './message.ts';
import type { NetlinkSocket, Request } from './socket.ts';

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
/** Of use at once: nobody else can have it, so nobody is asked (IPv6). */
const IFA_F_NODAD = 0x02;
const IFADDRMSG_BYTES = 8;

const AF_INET = 2;
const AF_INET6 = 10;
/** The family of an address of 4 or 16 bytes. */
export const familyOf = (address: Uint8Array): number => (address.length === 4 ? AF_INET : AF_INET6);

/** An address of a link, and the subnet that is reached through it. */
export interface LinkAddress {
  readonly address: Uint8Array;
  readonly prefix: number;
  readonly index: number;
}

/** Gives a link an address; to have it already is fine. */
export function addAddress({ address, prefix, index }: LinkAddress): Request {
  return {
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    parts: [
      header(address, prefix, index),
      attribute(IFA_LOCAL, address),
      attribute(IFA_ADDRESS, address),
      ...(address.length === 4 && prefix < 31 ? [attribute(IFA_BROADCAST, broadcast(address, prefix))] : []),
      u32(IFA_FLAGS, address.length === 4 ? 0 : IFA_F_NODAD),
    ],
    what: 'add address',
    of: `${name(address)}/${prefix}`,
  };
}

/** Takes an address from a link; that it has none is fine. */
export function deleteAddress({ address, prefix, index }: LinkAddress): Request {
  return {
    type: RTM_DELADDR,
    parts: [header(address, prefix, index), attribute(IFA_LOCAL, address), attribute(IFA_ADDRESS, address)],
    what: 'delete address',
    of: `${name(address)}/${prefix}`,
    allow: ['EADDRNOTAVAIL', 'ENODEV'],
  };
}

/** All addresses of the socket's namespace. */
export function addresses(socket: NetlinkSocket): LinkAddress[] {
  return socket.dump(
    { type: RTM_GETADDR, parts: [Buffer.alloc(IFADDRMSG_BYTES)], what: 'list addresses' },
    readLinkAddress,
  );
}

/** struct ifaddrmsg and its attributes. Errors: invalid. */
export function readLinkAddress(payload: Buffer): LinkAddress {
  if (payload.length < IFADDRMSG_BYTES) throw malformed('half an address');
  const attributes = new Attributes(payload.subarray(IFADDRMSG_BYTES));
  const address = attributes.bytes(IFA_LOCAL) ?? attributes.bytes(IFA_ADDRESS);
  if (address === undefined || (address.length !== 4 && address.length !== 16))
    throw malformed('an address of no kind');
  return { address: Buffer.from(address), prefix: payload.readUInt8(1), index: payload.readUInt32LE(4) };
}

function header(address: Uint8Array, prefix: number, index: number): Buffer {
  const bytes = Buffer.alloc(IFADDRMSG_BYTES);
  bytes[0] = familyOf(address);
  bytes[1] = prefix;
  bytes.writeUInt32LE(index, 4);
  return bytes;
}

function broadcast(address: Uint8Array, prefix: number): Buffer {
  const bytes = Buffer.from(address);
  bytes.writeUInt32BE((bytes.readUInt32BE(0) | (0xffff_ffff >>> prefix)) >>> 0, 0);
  return bytes;
}

/** For an error: short, not beautiful. */
export const name = (address: Uint8Array): string =>
  address.length === 4
    ? address.join('.')
    : Buffer.from(address)
        .toString('hex')
        .replace(/(....)(?=.)/g, '$1:');
