import { TareError } from '../base/errors.ts';
import { formatAddress, isV6, parseAddress, readAddress } from '../spec/ip.ts';
import type { Fd, FdLike } from '../sys/fd.ts';
import { addAddress } from '../sys/netlink/addresses.ts';
import { addLink, deleteLink, findLink, links, setHairpin, setLink } from '../sys/netlink/links.ts';
import { addRoute } from '../sys/netlink/routes.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import { randomBytes } from '../sys/random-bytes.ts';
import {
  type Attachment,
  deleteAttachment,
  egressRules,
  endAttachment,
  formerAttachment,
  type Joined,
  portRules,
  type Published,
  readAttachment,
  writeAttachment,
} from './attachment.ts';
import { leaveToDie, sweepDyingLinks } from './dying-links.ts';
import { ensureBridge } from './bridge.ts';
import type { EgressList } from './egress.ts';
import { Firewall, isTaken } from './firewall.ts';
import { contentsOf } from './firewall-contents.ts';
import { lease, releaseLeases } from './leases.ts';
import { formatMac, macOf, parseMac } from './mac-address.ts';
import { isAsked, publishNames, withdrawNames } from './names.ts';
import { isRouted, mtuOf, type Network, rangesOf, rulesOf } from './network.ts';
import { leadsOut, publishedPorts, type PortWish } from './published-ports.ts';
import { portTaken, reservePorts } from './reserve-ports.ts';
import { lockNetworks, type NetworkPlaces } from './network-places.ts';
import { addSubLink, bringUp, parentOf } from './sub-link.ts';
import { findOrMakeNetwork } from './networks.ts';

export type { PortWish } from './published-ports.ts';

/** A network that a container is to be in. */
export interface JoinWish {
  /** Name or id. */
  readonly network: string;
  /** One address of each family at most. */
  readonly addresses?: readonly string[];
  readonly mac?: string;
  readonly aliases?: readonly string[];
  /** Name of the link in the container; default: the next free of eth0, eth1, ... */
  readonly interface?: string;
}

/** What else there is to a container's networks. */
export interface AttachOptions {
  /** Gets a descriptor: while it is open, nobody else on the machine can have the ports. */
  readonly keep?: (reserved: Fd) => void;
  /** What it is called in networks that are not the default one, its own name first. */
  readonly names?: readonly string[];
  /** Whom its questions go to that are not of our names; default: whom the machine asks. */
  readonly servers?: readonly string[];
  /** What it may reach, and nothing else, in whatever network; names are asked of our resolver alone. */
  readonly egress?: EgressList;
  /** With it: who it is, as members of a JSON object without braces, for events about what it was refused. */
  readonly actor?: string;
}

/** What a container has of networks, and by network why it cannot ask for names there. */
export interface Attached extends Attachment {
  readonly nameless: ReadonlyMap<string, string>;
}

/**
 * Puts a container, in whose network namespace nothing is yet, into networks, in their order; the first that leads out has the default route. What it had before is taken back first; it gets the
 * same addresses where they are free. Its names, and those of others, hold as soon as it is there. Killed at any moment, `detach` finds all there is.
 *
 * Errors: not-found network; already-exists for an address or a port of another container; invalid; exhausted; by errno. Nothing is left then.
 */
export async function attach(
  places: NetworkPlaces,
  container: string,
  netns: FdLike,
  wishes: readonly JoinWish[],
  ports: readonly PortWish[] = [],
  { keep, names, servers, egress, actor }: AttachOptions = {},
): Promise<Attached> {
  using _lock = await lockNetworks(places);
  sweepDyingLinks(places);
  const isFollowed = readAttachment(places, container) !== undefined;
  withdraw(places, container);
  const before = formerAttachment(places, container);
  const networks = wishes.map(({ network }) => findOrMakeNetwork(places, network));
  const twice = networks.find((network, at) => networks.findIndex(({ id }) => id === network.id) < at);
  if (twice !== undefined) throw new TareError('invalid', `Cannot join network ${twice.name} twice`);
  if (egress !== undefined) networks.forEach(refuseUnfiltered);
  const intent: Attachment = {
    version: 1,
    networkIds: networks.map(({ id }) => id),
    networks: [],
    ports: [],
    ...(names === undefined ? {} : { names }),
    ...(servers === undefined ? {} : { servers }),
    ...(egress === undefined ? {} : { egress }),
    ...(actor === undefined ? {} : { actor }),
  };
  writeAttachment(places, container, intent);
  try {
    using inside = NetlinkSocket.open('route', netns);
    inside.request([setLink(LOOPBACK, { up: true })]);
    const joined = networks.map((network, at) => {
      const liked = before?.networks.find(({ networkId }) => networkId === network.id);
      return planned(places, container, network, wishes[at] ?? { network: '' }, at, liked);
    });
    const published = publishedPorts(ports, joined);
    const attachment = { ...intent, networks: joined, ports: published };
    writeAttachment(places, container, attachment);
    using outside = NetlinkSocket.open('route', places.netns);
    using firewall = new Firewall(places.table, places.netns);
    for (const [at, one] of joined.entries()) {
      const network = networks[at];
      if (network !== undefined) await makeLink(places, { outside, inside, firewall, netns, container }, network, one);
    }
    limit(firewall, container, attachment);
    routeOut(inside, joined);
    const patienceMs = isFollowed ? LEAVING_MS : 0;
    if (places.keeper !== undefined && published.length > 0) {
      const { forwardPorts } = await import('./forward-ports.ts');
      await forwardPorts(places, places.keeper, container, published, patienceMs);
    } else if (keep !== undefined && published.length > 0)
      keep(await reservePorts(places, container, published, patienceMs));
    publish(places, firewall, container, published);
    return { ...attachment, nameless: await publishNames(places, container, attachment) };
  } catch (error) {
    withdraw(places, container);
    throw error;
  }
}

/**
 * Takes everything of networks from a container that has ended: rules, leases, and links, as soon as the kernel has done away with its namespace. Idempotent. With `forget` also what is remembered for its next start: it is being removed.
 */
export async function detach(
  places: NetworkPlaces,
  container: string,
  how: { readonly forget: boolean },
): Promise<void> {
  using _lock = await lockNetworks(places);
  withdraw(places, container);
  if (how.forget) deleteAttachment(places, container);
}

/** Puts a container that is in networks into another one. Errors: as `attach`; already-exists when it is in it. */
export async function connect(
  places: NetworkPlaces,
  container: string,
  netns: FdLike,
  wish: JoinWish,
): Promise<Attached> {
  using _lock = await lockNetworks(places);
  const before = readAttachment(places, container) ?? { version: 1, networkIds: [], networks: [], ports: [] };
  const network = findOrMakeNetwork(places, wish.network);
  if (before.networks.some(({ networkId }) => networkId === network.id))
    throw new TareError('already-exists', `Cannot connect to network ${network.name}: the container is in it`);
  if (before.egress !== undefined) refuseUnfiltered(network);
  writeAttachment(places, container, { ...before, networkIds: [...before.networkIds, network.id] });
  let joined: Joined | undefined;
  let after = before;
  try {
    using inside = NetlinkSocket.open('route', netns);
    const names = new Set(links(inside).map(({ name }) => name));
    if (wish.interface !== undefined && names.has(wish.interface))
      throw new TareError(
        'already-exists',
        `Cannot connect to network ${network.name}: the container has a link ${wish.interface}`,
      );
    let at = 0;
    while (names.has(`eth${at}`)) at++;
    joined = planned(places, container, network, wish, at, undefined);
    after = {
      ...before,
      networkIds: [...before.networkIds, network.id],
      networks: [...before.networks, joined],
    };
    writeAttachment(places, container, after);
    using outside = NetlinkSocket.open('route', places.netns);
    using firewall = new Firewall(places.table, places.netns);
    await makeLink(places, { outside, inside, firewall, netns }, network, joined, () =>
      limit(firewall, container, after, before),
    );
    if (!before.networks.some(leadsOut)) routeOut(inside, [joined]);
    return { ...after, nameless: await publishNames(places, container, after) };
  } catch (error) {
    leave(places, container, network.id, joined, netns);
    if (after !== before) relimit(places, container, before, after);
    writeAttachment(places, container, before);
    await publishNames(places, container, before);
    throw error;
  }
}

/** Takes a container out of a network. Errors: not-found when it is not in it; failed-precondition for the one that its ports are reached by. */
export async function disconnect(
  places: NetworkPlaces,
  container: string,
  netns: FdLike | undefined,
  network: Network,
): Promise<Attached> {
  using _lock = await lockNetworks(places);
  const before = readAttachment(places, container);
  const joined = before?.networks.find(({ networkId }) => networkId === network.id);
  if (before === undefined || joined === undefined)
    throw new TareError('not-found', `Cannot disconnect from network ${network.name}: the container is not in it`);
  if (before.ports.some(({ address }) => joined.addresses.some((own) => own.address === address)))
    throw new TareError(
      'failed-precondition',
      `Cannot disconnect from network ${network.name}: the container's published ports are reached by it`,
    );
  const networks = before.networks.filter((one) => one !== joined);
  const networkIds = before.networkIds.filter((id) => id !== network.id);
  const after = { ...before, networkIds, networks };
  // Its list holds there as long as it has the link.
  leave(places, container, network.id, joined, netns);
  relimit(places, container, after, before);
  writeAttachment(places, container, after);
  const nameless = await publishNames(places, container, after);
  if (netns !== undefined) {
    using inside = NetlinkSocket.open('route', netns);
    routeOut(inside, networks);
  }
  return { ...after, nameless };
}

/** What is there of the networks of a container that has ended is undone; the caller has the lock. */
export function withdraw(places: NetworkPlaces, container: string): void {
  const attachment = readAttachment(places, container);
  if (attachment === undefined) return;
  if (isAsked(attachment)) withdrawNames(places, container);
  const limits = egressRules(container, attachment);
  if (attachment.ports.length > 0 || limits !== undefined) {
    using firewall = new Firewall(places.table, places.netns);
    if (attachment.ports.length > 0) firewall.removePorts(container);
    if (limits !== undefined) firewall.unlimit(limits);
  }
  leaveToDie(
    places,
    attachment.networks.map(({ hostLink }) => hostLink).filter((name) => name !== ''),
  );
  for (const id of attachment.networkIds) releaseLeases(places, id, container);
  endAttachment(places, container);
}

/** A list holds before the container's first process is there, or before its new link is up. */
function limit(firewall: Firewall, container: string, attachment: Attachment, before?: Attachment): void {
  const rules = egressRules(container, attachment);
  if (rules !== undefined) firewall.limit(rules, before === undefined ? undefined : egressRules(container, before));
}

/** The same for one that runs, and is in other networks now. */
function relimit(places: NetworkPlaces, container: string, attachment: Attachment, before: Attachment): void {
  if (before.egress === undefined) return;
  using firewall = new Firewall(places.table, places.netns);
  limit(firewall, container, attachment, before);
}

/** What goes by links of the machine's own network never meets its packet filter. */
function refuseUnfiltered({ name, driver }: Network): void {
  if (driver !== 'bridge')
    throw new TareError(
      'unsupported',
      `Cannot limit what is reached in network ${name}: packets of ${driver} do not pass this machine's filter; use a network with a bridge`,
    );
}

const LOOPBACK = 1;
/** Who had the container before may be leaving, with its ports. */
const LEAVING_MS = 3_000;

interface Ground {
  readonly outside: NetlinkSocket;
  readonly inside: NetlinkSocket;
  readonly firewall: Firewall;
  readonly netns: FdLike;
  /** One whose rules are not there yet. */
  readonly container?: string;
}

/** Leases addresses and chooses names: nothing of the kernel's is made yet. */
function planned(
  places: NetworkPlaces,
  container: string,
  network: Network,
  wish: JoinWish,
  at: number,
  liked: Joined | undefined,
): Joined {
  for (const alias of wish.aliases ?? [])
    if (!/^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,252}$/.test(alias))
      throw new TareError(
        'invalid',
        `Cannot use alias ${JSON.stringify(alias)}: expected letters, digits, _ . - and at most 253 of them`,
      );
  const wanted = (wish.addresses ?? []).map((text) => parseAddress(text, 'address'));
  const ranges = rangesOf(network);
  for (const address of wanted)
    if (!ranges.some(({ subnet }) => isV6(subnet.address) === isV6(address)))
      throw new TareError(
        'invalid',
        `Cannot give address ${formatAddress(address)}: network ${network.name} has no IPv${isV6(address) ? 6 : 4} subnet`,
      );
  const parent = network.driver === 'bridge' ? undefined : parentOf(places, network, wish);
  const addresses = ranges.map((range) => {
    const v6 = isV6(range.subnet.address);
    const one = wanted.find((address) => isV6(address) === v6);
    const before = liked?.addresses.map(({ address }) => readAddress(address)).find((a) => a && isV6(a) === v6);
    const given = lease(places, network.id, range, container, {
      ...(one === undefined ? {} : { wanted: one }),
      ...(before === undefined ? {} : { liked: before }),
      ...(parent === undefined ? {} : { foreign: parent.addresses }),
      collect: (dead) => withdraw(places, dead),
    });
    return {
      address: formatAddress(given),
      prefix: range.subnet.prefix,
      gateway: isRouted(network) ? '' : formatAddress(range.gateway),
    };
  });
  const wished = wish.mac === undefined ? undefined : parseMac(wish.mac);
  const mac = wished ?? parent?.mac ?? macOf(parseAddress(addresses[0]?.address ?? ''));
  return {
    network: network.name,
    networkId: network.id,
    interface: wish.interface ?? `eth${at}`,
    hostLink: network.driver === 'bridge' ? `veth${randomBytes(5).toString('hex')}` : '',
    bridge: network.bridge,
    mac: formatMac(mac),
    addresses,
    aliases: wish.aliases ?? [],
    internal: network.internal,
    ...(network.driver === 'bridge' ? {} : { external: true }),
  };
}

/** A container's link in a network, with its addresses. `before`: what comes before anything can go by it. */
async function makeLink(
  places: NetworkPlaces,
  ground: Ground,
  network: Network,
  joined: Joined,
  before: () => void = () => {},
): Promise<void> {
  const { outside, inside, netns } = ground;
  if (network.driver === 'bridge') makePair(places, ground, network, joined);
  else addSubLink(outside, inside, netns, network, joined);
  before();
  const link = findLink(inside, joined.interface);
  if (link === undefined)
    throw new TareError('unavailable', `Cannot join network ${network.name}: its link was deleted`);
  const given = joined.addresses.map(({ address, prefix }) =>
    addAddress({ address: parseAddress(address), prefix, index: link.index }),
  );
  if (network.driver === 'bridge') inside.request([setLink(link.index, { up: true }), ...given]);
  else {
    // What it has when it comes up is what its neighbours hear of.
    inside.request(given);
    await bringUp(inside, netns, network, joined, link.index);
  }
}

/** A pair of links, one end a port of the bridge, the other in the container. */
function makePair(
  places: NetworkPlaces,
  { outside, firewall, netns, container }: Ground,
  network: Network,
  joined: Joined,
): void {
  firewall.ensure(rulesOf(network), () => contentsOf(places, container));
  const bridge = ensureBridge(outside, network, places.netns);
  const mtu = mtuOf(network);
  const size = mtu === undefined ? {} : { mtu };
  outside.request([
    addLink(
      { name: joined.hostLink, up: true, master: bridge.index, ...size },
      { kind: 'veth', peer: { name: joined.interface, mac: parseMac(joined.mac), netns, ...size } },
    ),
    setHairpin(joined.hostLink),
  ]);
}

/** The default routes of a container, one for each family: by the first network that leads out. */
function routeOut(inside: NetlinkSocket, networks: readonly Joined[]): void {
  for (const v6 of [false, true]) {
    const way = networks
      .filter(leadsOut)
      .flatMap(({ interface: link, addresses }) => addresses.map((one) => ({ ...one, link })))
      .find(({ address }) => address.includes(':') === v6);
    if (way === undefined) continue;
    const to = new Uint8Array(parseAddress(way.address).length);
    // Where the machine routes, whatever comes by the link is sent on.
    const by =
      way.gateway === '' ? { index: findLink(inside, way.link)?.index ?? 0 } : { gateway: parseAddress(way.gateway) };
    inside.request([addRoute({ to, prefix: 0, ...by })]);
  }
}

/** Links, then leases. Idempotent. A link on top of the machine's is in the container's namespace alone. */
function leave(
  places: NetworkPlaces,
  container: string,
  networkId: string,
  joined: Joined | undefined,
  netns: FdLike | undefined,
): void {
  if (joined !== undefined && joined.hostLink !== '') {
    using outside = NetlinkSocket.open('route', places.netns);
    outside.request([deleteLink(joined.hostLink)]);
  } else if (joined !== undefined && netns !== undefined) {
    using inside = NetlinkSocket.open('route', netns);
    inside.request([deleteLink(joined.interface)]);
  }
  releaseLeases(places, networkId, container);
}

/** Errors: already-exists, saying whose the port is. */
function publish(places: NetworkPlaces, firewall: Firewall, container: string, ports: readonly Published[]): void {
  if (ports.length === 0) return;
  const rules = portRules(container, ports);
  try {
    return firewall.addPorts(rules);
  } catch (error) {
    if (!isTaken(error)) throw error;
  }
  for (const other of firewall.publishers())
    if (other !== container && !places.isAlive(other)) {
      withdraw(places, other);
      firewall.removePorts(other);
    }
  try {
    firewall.addPorts(rules);
  } catch (error) {
    if (!isTaken(error)) throw error;
    throw portTaken(places, container, ports);
  }
}
