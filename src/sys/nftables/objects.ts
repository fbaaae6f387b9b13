import { attribute, be32, nested, text } from '../netlink/attributes.ts';
import { NLM_F_APPEND, NLM_F_CREATE } from '../netlink/message.ts';
import type { Request } from '../netlink/socket.ts';
import { type Expression, type Verdict, verdictValue } from './expressions.ts';

const NFNL_SUBSYS_NFTABLES = 10;
export const NFPROTO_INET = 1;

export const messageTypes = {
  newTable: 0,
  getTable: 1,
  deleteTable: 2,
  newChain: 3,
  getChain: 4,
  deleteChain: 5,
  newRule: 6,
  getRule: 7,
  deleteRule: 8,
  newSet: 9,
  newElements: 12,
  getElements: 13,
  deleteElements: 14,
} as const;

/** Types of values as nft(8) knows them: only it looks at them, to print what we made. */
const valueTypes = { ipv4: 7, ipv6: 8, protocol: 12, service: 13, ifname: 41 } as const;
const valueBytes = { ipv4: 4, ipv6: 16, protocol: 1, service: 2, ifname: 16 } as const;
const TYPE_BITS = 6;
const NFT_DATA_VERDICT = 0xffff_ff00;
const NFT_SET_INTERVAL = 0x4;
const NFT_SET_MAP = 0x8;
const NFT_SET_TIMEOUT = 0x10;
const NFT_SET_ELEM_INTERVAL_END = 0x1;

/** What keys and values of a set consist of. */
export type ValueType = keyof typeof valueTypes;

export interface SetShape {
  readonly name: string;
  readonly key: readonly ValueType[];
  /** A map to such values, or to verdicts. */
  readonly data?: readonly ValueType[] | 'verdict';
  /** Keys are ranges. */
  readonly interval?: true;
  /** Elements may have a time after which they are gone. */
  readonly timeout?: true;
  /** So many elements at most (ENFILE); absent: as many as come. */
  readonly most?: number;
}

/** Where a packet meets a chain. */
export interface Hook {
  readonly type: 'filter' | 'nat';
  readonly at: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting' | 'ingress';
  readonly priority: number;
  /** With ingress: all that comes in by this link, also what its bridge does not pass up. */
  readonly device?: string;
}
const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4, ingress: 5 } as const;

/** One element of a set or map. */
export interface Element {
  readonly key: Uint8Array;
  readonly data?: Uint8Array | Verdict;
  /** The end of a range, the first key behind it. */
  readonly isEnd?: true;
  /** At most 126 bytes. */
  readonly comment?: string;
  /** So long it is there, from now on. */
  readonly timeoutMs?: number;
}

/** A request about something of a family; ours is inet. */
export function nftRequest(
  message: keyof typeof messageTypes,
  what: string,
  of: string,
  attributes: readonly Uint8Array[],
  flags = 0,
  family: number = NFPROTO_INET,
): Request {
  const header = Uint8Array.of(family, 0, 0, 0);
  return {
    type: (NFNL_SUBSYS_NFTABLES << 8) | messageTypes[message],
    flags,
    parts: [header, ...attributes],
    what: `${what} of the firewall`,
    of,
  };
}

/** A comment as nft(8) prints it: a type, a length, text with its NUL. */
function comment(type: number, words: string): Buffer {
  const bytes = Buffer.from(`${words}\0`);
  return attribute(type, Buffer.concat([Uint8Array.of(0, bytes.length), bytes]));
}

/** The words of a comment, undefined for anything else. */
export function readComment(bytes: Buffer | undefined): string | undefined {
  const length = bytes?.[1];
  if (bytes === undefined || bytes[0] !== 0 || length === undefined || length < 1 || bytes.length < 2 + length)
    return undefined;
  return bytes.toString('utf8', 2, 1 + length);
}

/** Makes a table, or leaves the one that is there. */
export function addTable(table: string, words?: string): Request {
  const about = words === undefined ? [] : [comment(6, words)];
  return nftRequest('newTable', 'add table', table, [text(1, table), ...about], NLM_F_CREATE);
}

/** Deletes a table with everything in it. */
export function deleteTable(table: string): Request {
  return nftRequest('deleteTable', 'delete table', table, [text(1, table)]);
}

/** Makes a chain; without a hook it is jumped to. */
export function addChain(table: string, name: string, hook?: Hook): Request {
  const NF_ACCEPT = 1;
  const base =
    hook === undefined
      ? []
      : [
          nested(
            4,
            be32(1, hooks[hook.at]),
            be32(2, hook.priority),
            ...(hook.device === undefined ? [] : [text(3, hook.device)]),
          ),
          be32(5, NF_ACCEPT),
          text(7, hook.type),
        ];
  return nftRequest('newChain', 'add chain', name, [text(1, table), text(3, name), ...base], NLM_F_CREATE);
}

/** Deletes a chain that nothing jumps to. */
export function deleteChain(table: string, name: string): Request {
  return nftRequest('deleteChain', 'delete chain', name, [text(1, table), text(3, name)]);
}

/** Adds a rule at the end of a chain. */
export function addRule(table: string, chain: string, expressions: readonly Expression[]): Request {
  const attributes = [text(1, table), text(2, chain), nested(4, ...expressions)];
  return nftRequest('newRule', 'add rule', chain, attributes, NLM_F_CREATE | NLM_F_APPEND);
}

/** A chain of somebody else's. */
export interface OthersChain {
  /** NFPROTO_IPV4, NFPROTO_IPV6. */
  readonly family: number;
  readonly table: string;
  readonly chain: string;
}

/** Adds a rule at the end of somebody else's chain, with a comment by which it is found again. */
export function appendRule(
  { family, table, chain }: OthersChain,
  expressions: readonly Expression[],
  words: string,
): Request {
  const attributes = [text(1, table), text(2, chain), nested(4, ...expressions), comment(7, words)];
  return nftRequest('newRule', 'add rule', chain, attributes, NLM_F_CREATE | NLM_F_APPEND, family);
}

/** Deletes one rule of somebody else's chain. */
export function deleteRule({ family, table, chain }: OthersChain, handle: Uint8Array): Request {
  const attributes = [text(1, table), text(2, chain), attribute(3, handle)];
  return nftRequest('deleteRule', 'delete rule', chain, attributes, 0, family);
}

/** Deletes all rules of a chain. */
export function flushChain(table: string, chain: string): Request {
  return nftRequest('deleteRule', 'delete rules', chain, [text(1, table), text(2, chain)]);
}

/** Whether something is gone after it. */
export function isDeletion({ type }: Request): boolean {
  const { deleteTable, deleteChain, deleteRule, deleteElements } = messageTypes;
  return [deleteTable, deleteChain, deleteRule, deleteElements].some((one) => one === (type & 0xff));
}

const typeOf = (parts: readonly ValueType[]): number =>
  parts.reduce((type, part) => (type << TYPE_BITS) | valueTypes[part], 0);

/** A part of several is padded to 4 bytes. */
const lengthOf = (parts: readonly ValueType[]): number =>
  parts.length === 1
    ? valueBytes[parts[0] ?? 'ipv4']
    : parts.reduce((sum, part) => sum + ((valueBytes[part] + 3) & ~3), 0);

/** Makes a set or map. `id`: another one for each of a batch. */
export function addSet(table: string, { name, key, data, interval, timeout, most }: SetShape, id: number): Request {
  const flags =
    (interval === true ? NFT_SET_INTERVAL : 0) |
    (timeout === true ? NFT_SET_TIMEOUT : 0) |
    (data === undefined ? 0 : NFT_SET_MAP);
  const values =
    data === undefined
      ? []
      : data === 'verdict'
        ? [be32(6, NFT_DATA_VERDICT), be32(7, 0)]
        : [be32(6, typeOf(data)), be32(7, lengthOf(data))];
  // Names of links are the only values here that are not in the network's order; nft(8) wants to be told.
  const order = key.length === 1 && key[0] === 'ifname' ? [attribute(13, Uint8Array.of(0, 4, 1, 0, 0, 0))] : [];
  return nftRequest(
    'newSet',
    'add set',
    name,
    [
      ...order,
      text(1, table),
      text(2, name),
      be32(3, flags),
      be32(4, typeOf(key)),
      be32(5, lengthOf(key)),
      ...values,
      ...(most === undefined ? [] : [nested(9, be32(1, most))]),
      be32(10, id),
    ],
    NLM_F_CREATE,
  );
}

/** Adds elements to a set; what it has already it keeps. EBUSY: a key has another value. */
export function addElements(table: string, set: string, elements: readonly Element[]): Request {
  return nftRequest('newElements', 'add to set', set, elementList(table, set, elements), NLM_F_CREATE);
}

/** Takes elements out of a set. ENOENT: one is not in it. */
export function deleteElements(table: string, set: string, elements: readonly Element[]): Request {
  return nftRequest('deleteElements', 'delete from set', set, elementList(table, set, elements));
}

function elementList(table: string, set: string, elements: readonly Element[]): Buffer[] {
  return [text(1, table), text(2, set), nested(3, ...elements.map((element) => nested(1, ...elementParts(element))))];
}

function elementParts({ key, data, isEnd, comment: words, timeoutMs }: Element): Buffer[] {
  return [
    nested(1, attribute(1, key)),
    ...(data === undefined ? [] : [data instanceof Uint8Array ? nested(2, attribute(1, data)) : verdictValue(2, data)]),
    ...(timeoutMs === undefined ? [] : [attribute(4, milliseconds(timeoutMs))]),
    ...(isEnd === true ? [be32(3, NFT_SET_ELEM_INTERVAL_END)] : []),
    ...(words === undefined ? [] : [comment(6, words)]),
  ];
}

function milliseconds(number: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(Math.floor(number)));
  return bytes;
}

/** Parts of a key or value side by side, each padded to 4 bytes. */
export function joined(...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(parts.map((part) => Buffer.concat([part, Buffer.alloc(-part.length & 3)])));
}
