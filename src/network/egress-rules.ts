import { isV6, type IpAddress, type Subnet } from '../spec/ip.ts';
import type { Request } from '../sys/netlink/socket.ts';
import {
  compare,
  type Expression,
  immediate,
  inSet,
  log,
  mask,
  meta,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  payload,
  rate,
  reject,
  verdict,
  verdictFrom,
  word,
} from '../sys/nftables/expressions.ts';
import {
  addChain,
  addElements,
  addRule,
  deleteChain,
  deleteElements,
  flushChain,
  type SetShape,
} from '../sys/nftables/objects.ts';
import { type EgressList, rangeOf } from './egress.ts';

/** What the firewall knows of a container that may reach only what is on a list. */
export interface EgressRules {
  readonly container: string;
  readonly list: EgressList;
  readonly links: readonly EgressLink[];
}

/** Its place in one network. */
export interface EgressLink {
  /** Name of the link on the machine's side: all that the container sends comes in by it. */
  readonly link: string;
  /** Hardware address of its bridge: what goes to others does not leave by the machine. */
  readonly bridge: Uint8Array;
  readonly addresses: readonly { readonly own: IpAddress; readonly subnet: Subnet; readonly gateway: IpAddress }[];
}

/** A list with `*.example.com` lets a container name as many addresses as it likes: the kernel's memory is not to be its. More is an error to whoever asks. */
const ADMITTED = 65_536;

/** From whom to where to go on; and which addresses the resolver found for names: from, to, port (0: any). It adds to them by these names (native/resolver/filter.c). */
export const egressSets: readonly SetShape[] = [
  { name: 'egress4', key: ['ipv4'], data: 'verdict' },
  { name: 'egress6', key: ['ipv6'], data: 'verdict' },
  { name: 'reach4', key: ['ipv4', 'ipv4', 'service'], timeout: true, most: ADMITTED },
  { name: 'reach6', key: ['ipv6', 'ipv6', 'service'], timeout: true, most: ADMITTED },
];

/** Of one container; who is told of them has limits of its own. */
const TOLD_EACH_SECOND = 5;
const TOLD_AT_ONCE = 20;
/** As far as the ports of IPv4 with all its options, or of IPv6. */
const PACKET_BYTES = 80;
const TCP = 6;
const UDP = 17;
const ICMP = 1;
const ICMP_V6 = 58;
const DNS_PORT = 53;
const TCP_FLAGS = 13;
const SYN = 0x02;
const SYN_ACK = 0x12;
/** Neighbours and routers of IPv6 (RFC 4861), and who listens to which group (RFC 2710, 3810): of a link, and needed on it. */
const LINK_MESSAGES: readonly [low: number, high: number][] = [
  [130, 137],
  [143, 143],
];
/** Answers and errors, which nobody gets who did not ask. */
const ICMP_ANSWERS = [0, 3, 11, 12];
const ICMP_V6_ANSWERS: readonly [low: number, high: number][] = [
  [1, 4],
  [129, 129],
];

const family = (v6: boolean): Expression[] => [
  meta('nfproto'),
  compare('is', Uint8Array.of(v6 ? NFPROTO_IPV6 : NFPROTO_IPV4)),
];
const source = (v6: boolean, register?: number): Expression => payload('network', v6 ? 8 : 12, v6 ? 16 : 4, register);
const destination = (v6: boolean, register?: number): Expression =>
  payload('network', v6 ? 24 : 16, v6 ? 16 : 4, register);
const protocol = (number: number): Expression[] => [meta('l4proto'), compare('is', Uint8Array.of(number))];
const port = (number: number): Expression[] => [
  payload('transport', 2, 2),
  compare('is', Uint8Array.of(number >> 8, number & 255)),
];
const typeBetween = (low: number, high: number): Expression[] => [
  payload('transport', 0, 1),
  compare('at least', Uint8Array.of(low)),
  compare('at most', Uint8Array.of(high)),
];

/** Goes by the source of a connection that begins, wherever it is to. */
export const egressJump: readonly Expression[][] = [false, true].map((v6) => [
  ...family(v6),
  source(v6),
  verdictFrom(`egress${v6 ? 6 : 4}`),
]);

const shortOf = (container: string): string => container.slice(0, 12);
const listChain = (container: string): string => `to-${shortOf(container)}`;
const nearChain = (container: string): string => `near-${shortOf(container)}`;
const linkChain = (link: string): string => `by-${link}`;

/** All chains of a container: each is jumped to by those after it. */
export const egressChains = ({ container, links }: EgressRules): string[] => [
  listChain(container),
  nearChain(container),
  ...links.map(({ link }) => linkChain(link)),
];

function toRange({ address, prefix }: Subnet): Expression[] {
  const bits = Uint8Array.from(address, (_, at) => (0xff00 >> Math.min(8, Math.max(0, prefix - at * 8))) & 0xff);
  const v6 = isV6(address);
  return [...family(v6), destination(v6), ...(prefix === 0 ? [] : [mask(bits), compare('is', address)])];
}

/** What is on the list goes back to whoever jumped here; all else is told no. */
function listRules({ container, list, links }: EgressRules, group: number | undefined): Expression[][] {
  const back = verdict('return');
  const whole = (address: IpAddress): Subnet => ({ address, prefix: address.length * 8 });
  const overPort = (to: Expression[], number: number): Expression[][] =>
    [TCP, UDP].map((one) => [...to, ...protocol(one), ...port(number), back]);
  const gateways = links.flatMap(({ addresses }) => addresses.map(({ gateway }) => gateway));
  return [
    ...LINK_MESSAGES.map(([low, high]) => [...protocol(ICMP_V6), ...typeBetween(low, high), back]),
    ...gateways.flatMap((gateway) => overPort(toRange(whole(gateway)), DNS_PORT)),
    ...list.addresses.flatMap((one) =>
      one.port === undefined ? [[...toRange(rangeOf(one)), back]] : overPort(toRange(rangeOf(one)), one.port),
    ),
    ...[false, true].flatMap((v6) => reached(v6)),
    ...(group === undefined ? [] : [[rate(TOLD_EACH_SECOND, TOLD_AT_ONCE), log(group, container, PACKET_BYTES)]]),
    [...protocol(TCP), reject('reset')],
    [reject('prohibited')],
  ];
}

/** By the names on its list: by one port, or by any. */
function reached(v6: boolean): Expression[][] {
  const words = v6 ? 4 : 1;
  const way = [...family(v6), source(v6, word(0)), destination(v6, word(words))];
  const set = inSet(`reach${v6 ? 6 : 4}`, word(0));
  const back = verdict('return');
  return [
    ...[TCP, UDP].map((one) => [...protocol(one), ...way, payload('transport', 2, 2, word(words * 2)), set, back]),
    [...way, immediate(Uint8Array.of(0, 0), word(words * 2)), set, back],
  ];
}

/** What goes to neighbours on the bridge, which nothing else of the packet filter sees: without connection tracking. Answers to who came in go on, by TCP. */
const nearRules = ({ container }: EgressRules): Expression[][] => [
  [
    ...protocol(TCP),
    payload('transport', TCP_FLAGS, 1),
    mask(Uint8Array.of(SYN_ACK)),
    compare('is not', Uint8Array.of(SYN)),
    verdict('accept'),
  ],
  ...ICMP_ANSWERS.map((type) => [...protocol(ICMP), ...typeBetween(type, type), verdict('accept')]),
  ...ICMP_V6_ANSWERS.map(([low, high]) => [...protocol(ICMP_V6), ...typeBetween(low, high), verdict('accept')]),
  [verdict({ jump: listChain(container) })],
  [verdict('accept')],
];

/** All that comes from the container by one link: from its own addresses alone, and to neighbours only what is on the list. */
function linkRules({ container }: EgressRules, { bridge, addresses }: EgressLink): Expression[][] {
  const drop = verdict('drop');
  const notFrom = (v6: boolean): Expression[][] => {
    const own = addresses.map((one) => one.own).filter((address) => isV6(address) === v6);
    return [[...family(v6), ...own.flatMap((address) => [source(v6), compare('is not', address)]), drop]];
  };
  return [
    ...LINK_MESSAGES.map(([low, high]) => [
      ...family(true),
      ...protocol(ICMP_V6),
      ...typeBetween(low, high),
      verdict('accept'),
    ]),
    ...notFrom(false),
    ...notFrom(true),
    // To all on the link, or to somebody there by another kind of address.
    [...family(false), payload('network', 16, 1), compare('at least', Uint8Array.of(224)), drop],
    [...family(true), payload('network', 24, 1), compare('at least', Uint8Array.of(0xfe)), drop],
    ...addresses.map(({ subnet, gateway }) => [
      ...toRange(subnet),
      destination(isV6(gateway)),
      compare('is not', gateway),
      verdict({ jump: nearChain(container) }),
    ]),
    // A neighbour is no way out: what is for somebody else than neighbours goes to the machine.
    ...addresses.map(({ subnet }) => [...toRange(subnet), verdict('accept')]),
    [payload('link', 0, bridge.length), compare('is not', bridge), drop],
  ];
}

/** The number under which a table tells of packets that were refused: FNV-1a of its name, not 0. */
export function logGroup(table: string): number {
  let hash = 0x811c_9dc5;
  for (const byte of Buffer.from(table)) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return ((hash >>> 16) ^ hash) & 0xffff || 1;
}

/** Everything of a container; nothing of it is there before. `told`: of what is refused somebody is told. */
export function addEgress(table: string, rules: EgressRules, told: boolean): Request[] {
  const chain = (name: string, list: readonly Expression[][]): Request[] => [
    addChain(table, name),
    ...list.map((rule) => addRule(table, name, rule)),
  ];
  return [
    ...chain(listChain(rules.container), listRules(rules, told ? logGroup(table) : undefined)),
    ...chain(nearChain(rules.container), nearRules(rules)),
    ...rules.links.flatMap((one) => [
      addChain(table, linkChain(one.link), { type: 'filter', at: 'ingress', priority: 0, device: one.link }),
      ...linkRules(rules, one).map((rule) => addRule(table, linkChain(one.link), rule)),
    ]),
    ...[false, true].flatMap((v6) => {
      const elements = sourcesOf(rules, v6).map((key) => ({ key, data: { jump: listChain(rules.container) } }));
      return elements.length === 0 ? [] : [addElements(table, `egress${v6 ? 6 : 4}`, elements)];
    }),
  ];
}

/** Takes away those of its chains that are there, and what leads to them. */
export function removeEgress(
  table: string,
  chains: readonly string[],
  elements: readonly { readonly set: string; readonly key: Uint8Array }[],
): Request[] {
  return [
    ...elements.map(({ set, key }) => deleteElements(table, set, [{ key }])),
    ...chains.toReversed().flatMap((name) => [flushChain(table, name), deleteChain(table, name)]),
  ];
}

/** Its own addresses. */
export const sourcesOf = ({ links }: EgressRules, v6: boolean): IpAddress[] =>
  links.flatMap(({ addresses }) => addresses.map(({ own }) => own)).filter((address) => isV6(address) === v6);
