import { attribute, be32, nested, text } from '../netlink/attributes.ts';

/** One expression of a rule: the kernel runs them in their order, and leaves the rule at the first that says no. */
export type Expression = Buffer;

/**
 * Registers: four of 16 bytes, each of which is also four of 4 bytes. A value of several parts lies in neighbouring ones, each part on 4 bytes.
 * `word(0)` is where `REGISTER` begins.
 */
export const REGISTER = 1;
const REGISTER_2 = 2;
export { REGISTER_2 };
export const word = (index: number): number => 8 + index;

const VERDICT_REGISTER = 0;

const metaKeys = { mark: 3, iifname: 6, oifname: 7, nfproto: 15, l4proto: 16 } as const;
const ctKeys = { state: 0, status: 2 } as const;
const payloadBases = { link: 0, network: 1, transport: 2 } as const;

/** NF_CT_STATE_BIT of what belongs to a known connection: established, related. */
export const CT_KNOWN = 0b110;
/** IPS_DST_NAT: it was sent elsewhere by us or by somebody else. */
export const CT_DNAT = 1 << 5;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_IPV6 = 10;

/** What becomes of a packet. */
export type Verdict = 'accept' | 'drop' | 'return' | { readonly jump: string };
const verdictCodes = { drop: 0, accept: 1, return: -5 } as const;
const JUMP = -3;

function expression(name: string, ...data: readonly Buffer[]): Expression {
  return nested(1, text(1, name), nested(2, ...data));
}

/** A value as an attribute of an expression has it. */
const value = (type: number, bytes: Uint8Array): Buffer => nested(type, attribute(1, bytes));

/** A verdict as a value: of a rule, or of an element of a map. */
export function verdictValue(type: number, verdict: Verdict): Buffer {
  const code = typeof verdict === 'object' ? JUMP : verdictCodes[verdict];
  const chain = typeof verdict === 'object' ? [text(2, verdict.jump)] : [];
  return nested(type, nested(2, be32(1, code), ...chain));
}

/** Something about the packet that is not in it. */
export function meta(key: keyof typeof metaKeys, register: number = REGISTER): Expression {
  return expression('meta', be32(1, register), be32(2, metaKeys[key]));
}

/** Marks the packet with what is in the register. */
export function setMark(register: number = REGISTER): Expression {
  return expression('meta', be32(2, metaKeys.mark), be32(3, register));
}

/** Puts bytes into a register. */
export function immediate(bytes: Uint8Array, register: number = REGISTER): Expression {
  return expression('immediate', be32(1, register), value(2, bytes));
}

/** Puts into the register whether the packet is for a socket of ours that speaks with somebody else's address (IP_TRANSPARENT): one byte. Leaves the rule where there is no socket. */
export function socketIsTransparent(register: number = REGISTER): Expression {
  const NFT_SOCKET_TRANSPARENT = 0;
  return expression('socket', be32(1, NFT_SOCKET_TRANSPARENT), be32(2, register));
}

/** Bytes of a header. */
export function payload(
  base: keyof typeof payloadBases,
  offset: number,
  length: number,
  register: number = REGISTER,
): Expression {
  return expression('payload', be32(1, register), be32(2, payloadBases[base]), be32(3, offset), be32(4, length));
}

/** What connection tracking knows. */
export function ct(key: keyof typeof ctKeys, register: number = REGISTER): Expression {
  return expression('ct', be32(1, register), be32(2, ctKeys[key]));
}

const comparisons = { is: 0, 'is not': 1, 'at most': 3, 'at least': 5 } as const;

/** Goes on only when the register's bytes compare so with these. */
export function compare(how: keyof typeof comparisons, bytes: Uint8Array, register: number = REGISTER): Expression {
  return expression('cmp', be32(1, register), be32(2, comparisons[how]), value(3, bytes));
}

/** Goes on no more often than so many times a second, and some more at a time. */
export function rate(perSecond: number, burst: number): Expression {
  return expression('limit', be64(1, perSecond), be64(2, 1), be32(3, burst), be32(4, 0), be32(5, 0));
}

/** Tells nfnetlink_log of the packet, its first bytes and some words, under a number. */
export function log(group: number, words: string, packetBytes: number): Expression {
  return expression(
    'log',
    attribute(1, Uint8Array.of(group >> 8, group & 255)),
    text(2, words),
    be32(3, packetBytes),
    attribute(4, Uint8Array.of(0, 1)),
  );
}

function be64(type: number, number: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(number));
  return attribute(type, bytes);
}

/** Ends it with an answer: `reset` of a TCP connection, or `prohibited` by ICMP of the packet's family. */
export function reject(how: 'reset' | 'prohibited'): Expression {
  const NFT_REJECT_TCP_RST = 1;
  const NFT_REJECT_ICMPX_UNREACH = 2;
  const NFT_REJECT_ICMPX_ADMIN_PROHIBITED = 3;
  return how === 'reset'
    ? expression('reject', be32(1, NFT_REJECT_TCP_RST), attribute(2, Uint8Array.of(0)))
    : expression(
        'reject',
        be32(1, NFT_REJECT_ICMPX_UNREACH),
        attribute(2, Uint8Array.of(NFT_REJECT_ICMPX_ADMIN_PROHIBITED)),
      );
}

/** register & mask. */
export function mask(bytes: Uint8Array, register: number = REGISTER): Expression {
  return expression(
    'bitwise',
    be32(1, register),
    be32(2, register),
    be32(3, bytes.length),
    value(4, bytes),
    value(5, new Uint8Array(bytes.length)),
  );
}

/** Goes on only when the register's value is in the set. */
export function inSet(set: string, register: number = REGISTER): Expression {
  return expression('lookup', text(1, set), be32(2, register));
}

/** Goes on only when the register's value is in the map, with what belongs to it. */
export function fromMap(map: string, from: number = REGISTER, to: number = REGISTER): Expression {
  return expression('lookup', text(1, map), be32(2, from), be32(3, to));
}

/** Does what belongs to the register's value in a map of verdicts. */
export function verdictFrom(map: string, register: number = REGISTER): Expression {
  return fromMap(map, register, VERDICT_REGISTER);
}

export function verdict(what: Verdict): Expression {
  return expression('immediate', be32(1, VERDICT_REGISTER), verdictValue(2, what));
}

/** Sends the connection to the address and port in these registers. */
export function dnat(family: number, address: number, port: number): Expression {
  const NFT_NAT_DNAT = 1;
  return expression(
    'nat',
    be32(1, NFT_NAT_DNAT),
    be32(2, family),
    be32(3, address),
    be32(4, address),
    be32(5, port),
    be32(6, port),
  );
}

/** Counts what comes to it, as rules of iptables do. */
export function counter(): Expression {
  return expression('counter');
}

/** The connection gets an address of the link it leaves by. */
export function masquerade(): Expression {
  return expression('masq');
}

/** Puts what kind of address the destination is into the register (RTN_*): RTN_LOCAL is one of this machine. */
export function destinationKind(register: number = REGISTER): Expression {
  const NFT_FIB_RESULT_ADDRTYPE = 3;
  const NFTA_FIB_F_DADDR = 2;
  return expression('fib', be32(1, register), be32(2, NFT_FIB_RESULT_ADDRTYPE), be32(3, NFTA_FIB_F_DADDR));
}

/** 32 bits as the kernel's own numbers are compared. */
export function native32(number: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number >>> 0);
  return bytes;
}

const IFNAMSIZ = 16;

/** The name of a link, as a register holds it. */
export function linkName(name: string): Uint8Array {
  const bytes = Buffer.alloc(IFNAMSIZ);
  bytes.write(name, 0, IFNAMSIZ - 1);
  return bytes;
}
