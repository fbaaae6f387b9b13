import { boundsOf, addressOfNumber, isV6, type IpAddress, type Subnet } from '../spec/ip.ts';
import { isErrno } from '../sys/error.ts';
import type { FdLike } from '../sys/fd.ts';
import type { Request } from '../sys/netlink/socket.ts';
import { linkName } from '../sys/nftables/expressions.ts';
import { Nftables } from '../sys/nftables/nftables.ts';
import {
  addChain,
  addElements,
  addRule,
  addTable,
  deleteChain,
  deleteElements,
  deleteTable,
  type Element,
  flushChain,
  joined,
} from '../sys/nftables/objects.ts';
import { acceptForward, forgetForward } from './forward-policy.ts';
import { addEgress, egressChains, type EgressRules, removeEgress, sourcesOf } from './egress-rules.ts';
import { LAYOUT, networkChain, networkRules, tableRequests, usesOf } from './firewall-table.ts';

/** What the firewall knows of a network. */
export interface NetworkRules {
  /** Name of its bridge. */
  readonly bridge: string;
  readonly subnets: readonly Subnet[];
  /** Nothing goes out of it or comes in. */
  readonly internal: boolean;
  /** What goes out has the machine's address. */
  readonly masquerade: boolean;
}

export type Protocol = 'tcp' | 'udp' | 'sctp';

/** One port of a container that is reached through the machine. */
export interface PortRule {
  /** Whose it is. */
  readonly container: string;
  readonly protocol: Protocol;
  /** One address of the machine; absent: all of the family of `address`. */
  readonly hostAddress?: IpAddress;
  readonly hostPort: number;
  /** The container's. */
  readonly address: IpAddress;
  readonly port: number;
}

/** All that should be in the firewall: asked for when it is found broken. */
export interface FirewallContents {
  readonly networks: readonly NetworkRules[];
  readonly ports: readonly PortRule[];
  readonly egress?: readonly EgressRules[];
}

const SETTLE_TRIES = 5;
const protocolNumbers = { tcp: 6, udp: 17, sctp: 132 } as const;
const portMaps = ['ports4', 'any4', 'ports6', 'any6'] as const;
type PortMap = (typeof portMaps)[number];

/**
 * Our table of nf_tables: address translation, no way from one network into another, published ports. Its chains are fixed; what comes and goes are elements of sets and maps, and one chain per
 * network, so that each change is one small batch, which takes place whole or not at all. The caller has the lock of the networks.
 */
export class Firewall implements Disposable {
  readonly #nft: Nftables;
  readonly #table: string;

  /** Errors: `unsupported` where the kernel has no nf_tables. */
  constructor(table: string, netns?: FdLike) {
    this.#nft = new Nftables(netns);
    this.#table = table;
  }

  [Symbol.dispose](): void {
    this.#nft[Symbol.dispose]();
  }

  /**
   * Makes a network known, and sees that all that we made before is still there: somebody may have flushed the rules, or reloaded theirs. What is broken is made again as a whole, from `contents`.
   * Errors: by errno of the netlink requests.
   */
  ensure(network: NetworkRules, contents: () => FirewallContents): void {
    acceptForward(this.#nft, [network]);
    const chain = networkChain(network.bridge);
    const expected = new Map(usesOf(network));
    const found = this.#nft.chains(this.#table, [...expected.keys()]);
    const isWhole = found.every(({ name, uses }) => uses === expected.get(name));
    if (isWhole && found.length === expected.size) return;
    const others = found.filter(({ name }) => name !== chain);
    const isBare = isWhole && others.length === expected.size - 1;
    if (isBare && this.#nft.tableComment(this.#table) === LAYOUT)
      return this.#nft.commit(networkRequests(this.#table, network));
    const all = contents();
    const networks = [network, ...all.networks.filter(({ bridge }) => bridge !== network.bridge)];
    this.rebuild({ ...all, networks });
  }

  /** Throws our table away and makes it again. Nobody sees a moment without. */
  rebuild({ networks, ports, egress = [] }: FirewallContents): void {
    acceptForward(this.#nft, networks);
    const reached = egress.length === 0 ? [] : this.#reached();
    const requests = (told: boolean): Request[] => [
      // Deleting what is not there fails: so it is there.
      addTable(this.#table),
      deleteTable(this.#table),
      ...tableRequests(this.#table),
      ...networks.flatMap((network) => networkRequests(this.#table, network)),
      ...this.#portRequests(ports),
      ...egress.flatMap((rules) => addEgress(this.#table, rules, told)),
      ...reached,
    ];
    this.#commitSettled(requests);
  }

  /** What names led to, and still does. */
  #reached(): Request[] {
    return ['reach4', 'reach6'].flatMap((set) => {
      const left = this.#nft.elements(this.#table, set).filter(({ timeoutMs = 0 }) => timeoutMs > 0);
      return chunks(left).map((some) => addElements(this.#table, set, some));
    });
  }

  /** A container may reach what is on its list, and nothing else. What there is of it is replaced in the same step; one that runs, with these links `before`, keeps what its names led to. */
  limit(rules: EgressRules, before?: EgressRules): void {
    const links = before?.links.filter(({ link }) => !rules.links.some((one) => one.link === link)) ?? [];
    const all = { ...rules, links: [...rules.links, ...links] };
    const sets = before === undefined ? (['egress', 'reach'] as const) : (['egress'] as const);
    this.#commitSettled((told) => [...this.#unlimited(all, sets), ...addEgress(this.#table, rules, told)]);
  }

  /** Takes its list away: the container has ended. Idempotent. */
  unlimit(rules: EgressRules): void {
    this.#commitSettled(() => this.#unlimited(rules, ['egress', 'reach']));
  }

  #unlimited(rules: EgressRules, sets: readonly ('egress' | 'reach')[]): Request[] {
    const there = new Set(this.#nft.chains(this.#table, egressChains(rules)).map(({ name }) => name));
    const elements = [false, true].flatMap((v6) => {
      const own = new Set(sourcesOf(rules, v6).map((key) => Buffer.from(key).toString('hex')));
      const isOwn = ({ key }: Element): boolean => own.has(Buffer.from(key.subarray(0, v6 ? 16 : 4)).toString('hex'));
      return sets.flatMap((kind) => {
        const set = `${kind}${v6 ? 6 : 4}`;
        const found = this.#nft.elements(this.#table, set).filter(isOwn);
        return found.map(({ key }) => ({ set, key }));
      });
    });
    const chains = egressChains(rules).filter((name) => there.has(name));
    return removeEgress(this.#table, chains, elements);
  }

  /** Deletes what was seen a moment ago: an element whose time is over, or a link's chain, may be gone meanwhile. A kernel without nfnetlink_log refuses to tell of packets: then nobody is told. */
  #commitSettled(requests: (told: boolean) => Request[]): void {
    for (let left = SETTLE_TRIES; ; left--) {
      try {
        return this.#nft.commit(requests(left > 0));
      } catch (error) {
        if (left === 0 || !isErrno(error, 'ENOENT', 'EOPNOTSUPP', 'EPROTONOSUPPORT')) throw error;
      }
    }
  }

  /** Forgets a network. Idempotent. */
  removeNetwork(network: NetworkRules): void {
    forgetForward(this.#nft, network.bridge);
    const chain = networkChain(network.bridge);
    if (this.#nft.chains(this.#table, [chain]).length === 0) return;
    const sets = networkElements(network);
    const present = sets
      .map(([set, elements]): [string, Element[]] => {
        const there = new Set(this.#nft.elements(this.#table, set).map(keyText));
        return [set, elements.filter((element) => there.has(keyText(element)))];
      })
      .filter(([, elements]) => elements.length > 0);
    this.#nft.commit([
      ...present.map(([set, elements]) => deleteElements(this.#table, set, elements)),
      flushChain(this.#table, chain),
      deleteChain(this.#table, chain),
    ]);
  }

  /** Publishes ports; those that are published already stay. Errors: `failed-precondition` (EBUSY) when another container has one. */
  addPorts(ports: readonly PortRule[]): void {
    this.#nft.commit(this.#portRequests(ports));
  }

  /** Takes back all ports of a container. Idempotent: nothing to do without a table, too. */
  removePorts(container: string): void {
    this.#nft.commit(
      portMaps.flatMap((map) => {
        const mine = this.#nft
          .elements(this.#table, map)
          .filter(({ comment }) => comment === container)
          .map(({ key, data }) => ({ key, ...(data === undefined ? {} : { data }) }));
        return chunks(mine).map((some) => deleteElements(this.#table, map, some));
      }),
    );
  }

  /** Whose ports are published. */
  publishers(): Set<string> {
    const all = portMaps.flatMap((map) => this.#nft.elements(this.#table, map));
    return new Set(all.flatMap(({ comment }) => (comment === undefined ? [] : [comment])));
  }

  /** Deletes our table. Idempotent. */
  remove(): void {
    this.#nft.commit([addTable(this.#table), deleteTable(this.#table)]);
  }

  #portRequests(ports: readonly PortRule[]): Request[] {
    return portMaps.flatMap((map) => {
      const elements = ports.filter((port) => mapOf(port) === map).map(portElement);
      return chunks(elements).map((some) => addElements(this.#table, map, some));
    });
  }
}

/** A list of elements is an attribute, of 64 KB at most. */
function chunks<T>(list: readonly T[]): T[][] {
  const size = 200;
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}

const mapOf = ({ hostAddress, address }: PortRule): PortMap =>
  `${hostAddress === undefined ? 'any' : 'ports'}${isV6(address) ? 6 : 4}`;

function portElement({ container, protocol, hostAddress, hostPort, address, port }: PortRule): Element {
  return {
    key: joined(
      ...(hostAddress === undefined ? [] : [hostAddress]),
      Uint8Array.of(protocolNumbers[protocol]),
      bytes16(hostPort),
    ),
    data: joined(address, bytes16(port)),
    comment: container,
  };
}

const bytes16 = (number: number): Uint8Array => Uint8Array.of(number >> 8, number & 255);

const keyText = ({ key, isEnd }: Element): string =>
  `${Buffer.from(key).toString('hex')}${isEnd === true ? ' end' : ''}`;

function networkRequests(table: string, network: NetworkRules): Request[] {
  const chain = networkChain(network.bridge);
  return [
    addChain(table, chain),
    // It may be there from before, with other rules.
    flushChain(table, chain),
    ...networkRules(network).map((rule) => addRule(table, chain, rule)),
    ...networkElements(network).map(([set, elements]) => addElements(table, set, elements)),
  ];
}

/** What the sets hold of a network. */
function networkElements(network: NetworkRules): [set: string, elements: Element[]][] {
  const name = linkName(network.bridge);
  const jump = { jump: networkChain(network.bridge) };
  const sources = (v6: boolean): Element[] =>
    network.subnets
      .filter(({ address }) => isV6(address) === v6)
      .flatMap((subnet) => {
        const [first, last] = boundsOf(subnet);
        const bytes = subnet.address.length;
        return [
          { key: addressOfNumber(first, bytes), data: jump },
          { key: addressOfNumber(last + 1n, bytes), isEnd: true as const },
        ];
      });
  const all: [string, Element[]][] = [
    ['bridges', [{ key: name }]],
    ['within', [{ key: joined(name, name) }]],
    ['internal', network.internal ? [{ key: name }] : []],
    ['source4', sources(false)],
    ['source6', sources(true)],
  ];
  return all.filter(([, elements]) => elements.length > 0);
}

/** An error that says whose port it is that is wanted twice. */
export function isTaken(error: unknown): boolean {
  return isErrno(error, 'EBUSY', 'EEXIST');
}
