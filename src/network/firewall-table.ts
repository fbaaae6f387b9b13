import { isV6 } from '../spec/ip.ts';
import type { Request } from '../sys/netlink/socket.ts';
import {
  compare,
  CT_DNAT,
  CT_KNOWN,
  ct,
  destinationKind,
  dnat,
  type Expression,
  fromMap,
  inSet,
  linkName,
  mask,
  masquerade,
  meta,
  native32,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  payload,
  REGISTER,
  REGISTER_2,
  verdict,
  verdictFrom,
  word,
} from '../sys/nftables/expressions.ts';
import { addChain, addRule, addSet, addTable, type Hook, type SetShape } from '../sys/nftables/objects.ts';
import { egressJump, egressSets } from './egress-rules.ts';
import type { NetworkRules } from './firewall.ts';

/** The comment of the table: a table with another one is of another Tare, and is made again. */
export const LAYOUT = 'tare networks 3';

const sets: readonly SetShape[] = [
  { name: 'bridges', key: ['ifname'] },
  { name: 'internal', key: ['ifname'] },
  { name: 'within', key: ['ifname', 'ifname'] },
  { name: 'source4', key: ['ipv4'], data: 'verdict', interval: true },
  { name: 'source6', key: ['ipv6'], data: 'verdict', interval: true },
  { name: 'ports4', key: ['ipv4', 'protocol', 'service'], data: ['ipv4', 'service'] },
  { name: 'any4', key: ['protocol', 'service'], data: ['ipv4', 'service'] },
  { name: 'ports6', key: ['ipv6', 'protocol', 'service'], data: ['ipv6', 'service'] },
  { name: 'any6', key: ['protocol', 'service'], data: ['ipv6', 'service'] },
  ...egressSets,
];

const RTN_LOCAL = 2;
const IPV4_SOURCE = 12;
const IPV4_DESTINATION = 16;
const IPV6_SOURCE = 8;
const IPV6_DESTINATION = 24;
const DESTINATION_PORT = 2;
const LOOPBACK_V6 = new Uint8Array(16).with(15, 1);

const family = (number: number): Expression[] => [meta('nfproto'), compare('is', Uint8Array.of(number))];
const isV4Packet = family(NFPROTO_IPV4);
const isV6Packet = family(NFPROTO_IPV6);
/** Of 127.0.0.0/8. */
const isLoopback = (offset: number): Expression[] => [
  ...isV4Packet,
  payload('network', offset, 1),
  compare('is', Uint8Array.of(127)),
];
const cameIn = (set: string): Expression[] => [meta('iifname'), inSet(set)];
const goesOut = (set: string): Expression[] => [meta('oifname'), inSet(set)];
const hasBits = (key: 'state' | 'status', bits: number): Expression[] => [
  ct(key),
  mask(native32(bits)),
  compare('is not', native32(0)),
];
const isOurs: Expression[] = [destinationKind(), compare('is', native32(RTN_LOCAL))];

/** Sends a connection where the map says, by protocol and port, and by the address where it is one of the map's. */
function publish(map: string, v6: boolean, withAddress: boolean): Expression[] {
  const bytes = v6 ? 16 : 4;
  const at = withAddress ? bytes / 4 : 0;
  const address = payload('network', v6 ? IPV6_DESTINATION : IPV4_DESTINATION, bytes);
  return [
    ...(v6 ? isV6Packet : isV4Packet),
    ...(withAddress ? [address] : []),
    meta('l4proto', withAddress ? word(at) : REGISTER),
    payload('transport', DESTINATION_PORT, 2, word(at + 1)),
    fromMap(map),
    dnat(v6 ? NFPROTO_IPV6 : NFPROTO_IPV4, REGISTER, word(bytes / 4)),
  ];
}

interface ChainShape {
  readonly name: string;
  readonly hook?: Hook;
  readonly rules: readonly (readonly Expression[])[];
}

/** In the order they are made: who is jumped to comes first. */
const chains: readonly ChainShape[] = [
  {
    // A bridge routes 127.0.0.0/8, so that the machine reaches published ports there: nobody else may come or go by it.
    name: 'guard',
    hook: { type: 'filter', at: 'prerouting', priority: -300 },
    rules: [IPV4_SOURCE, IPV4_DESTINATION].map((offset) => [
      ...cameIn('bridges'),
      ...isLoopback(offset),
      verdict('drop'),
    ]),
  },
  {
    name: 'egress',
    rules: egressJump,
  },
  {
    name: 'input',
    hook: { type: 'filter', at: 'input', priority: 0 },
    rules: [[...hasBits('state', CT_KNOWN), verdict('accept')], [verdict({ jump: 'egress' })]],
  },
  {
    name: 'forward',
    hook: { type: 'filter', at: 'forward', priority: 0 },
    rules: [
      [...hasBits('state', CT_KNOWN), verdict('accept')],
      [verdict({ jump: 'egress' })],
      [meta('iifname'), meta('oifname', REGISTER_2), inSet('within'), verdict('accept')],
      [...cameIn('internal'), verdict('drop')],
      [...goesOut('internal'), verdict('drop')],
      [...hasBits('status', CT_DNAT), verdict('accept')],
      [...goesOut('bridges'), verdict('drop')],
    ],
  },
  {
    name: 'publish',
    rules: [
      publish('ports4', false, true),
      publish('any4', false, false),
      // What comes from ::1 cannot leave by a bridge.
      [...isV6Packet, payload('network', IPV6_DESTINATION, 16), compare('is', LOOPBACK_V6), verdict('return')],
      publish('ports6', true, true),
      publish('any6', true, false),
    ],
  },
  {
    name: 'prerouting',
    hook: { type: 'nat', at: 'prerouting', priority: -100 },
    rules: [[...isOurs, verdict({ jump: 'publish' })]],
  },
  {
    name: 'output',
    hook: { type: 'nat', at: 'output', priority: -100 },
    rules: [[...isOurs, verdict({ jump: 'publish' })]],
  },
  {
    name: 'postrouting',
    hook: { type: 'nat', at: 'postrouting', priority: 100 },
    rules: [
      [...isLoopback(IPV4_SOURCE), ...goesOut('bridges'), masquerade()],
      [...isV4Packet, payload('network', IPV4_SOURCE, 4), verdictFrom('source4')],
      [...isV6Packet, payload('network', IPV6_SOURCE, 16), verdictFrom('source6')],
    ],
  },
];

/** The table, its sets and its fixed chains. */
export function tableRequests(table: string): Request[] {
  return [
    addTable(table, LAYOUT),
    ...sets.map((set, index) => addSet(table, set, index + 1)),
    ...chains.flatMap(({ name, hook, rules }) => [
      addChain(table, name, hook),
      ...rules.map((rule) => addRule(table, name, rule)),
    ]),
  ];
}

/** The chain of a network: what happens to the source of a connection that it begins. */
export const networkChain = (bridge: string): string => `from-${bridge}`;

/** Its rules. */
export function networkRules({ bridge, masquerade: outside }: NetworkRules): Expression[][] {
  return [
    // A container that reaches another one of its network, or itself, by a published port: the answer has to come back this way.
    [meta('oifname'), compare('is', linkName(bridge)), ...hasBits('status', CT_DNAT), masquerade()],
    [...goesOut('bridges'), verdict('return')],
    ...(outside ? [[masquerade()]] : []),
  ];
}

/** How many rules and jumps each chain has when nobody took any away, this network's among them. */
export function usesOf(network: NetworkRules): [chain: string, uses: number][] {
  const jumps = chains.flatMap(({ name, rules }) =>
    name === 'publish' || name === 'egress' ? [[name, rules.length + 2] as const] : [],
  );
  const fixed = new Map(chains.map(({ name, rules }) => [name, rules.length] as const));
  for (const [name, uses] of jumps) fixed.set(name, uses);
  const families = new Set(network.subnets.map(({ address }) => isV6(address)));
  const ranges = network.subnets.length;
  fixed.set(networkChain(network.bridge), networkRules(network).length + (families.size === 0 ? 0 : ranges));
  return [...fixed];
}
