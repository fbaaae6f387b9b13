import { monotonicMs, sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { formatAddress } from '../spec/ip.ts';
import { isErrno } from '../sys/error.ts';
import type { FdLike } from '../sys/fd.ts';
import { addresses } from '../sys/netlink/addresses.ts';
import { addLink, deleteLink, findLink, type Link, links, setLink } from '../sys/netlink/links.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import type { Joined } from './attachment.ts';
import { setNetSysctl } from './bridge.ts';
import { newMac, parseMac } from './mac-address.ts';
import { hasOwnParent, mtuOf, type Network, subLinkMode } from './network.ts';
import type { NetworkPlaces } from './network-places.ts';

/**
 * The link of the machine that containers of a macvlan or ipvlan network share: the administrator's, which is not touched, or for a network without a way out a dummy of ours, made when it is not there.
 *
 * Errors: failed-precondition for one that is gone, down, or a port of something else.
 */
export function ensureParent(socket: NetlinkSocket, network: Pick<Network, 'name' | 'bridge' | 'options'>): Link {
  const cannot = (why: string): TareError =>
    new TareError(
      'failed-precondition',
      `Cannot bring up network ${network.name}: its parent ${network.bridge} ${why}`,
    );
  const own = hasOwnParent(network);
  let found = findLink(socket, network.bridge);
  if (found === undefined && own) {
    addDummy(socket, network);
    found = findLink(socket, network.bridge);
  }
  if (found === undefined) throw cannot('is no link of this machine (any more)');
  if (own && found.kind !== 'dummy') throw cannot('is no dummy of ours; remove it');
  const { master } = found;
  if (master !== undefined && master > 0) {
    const of = links(socket).find(({ index }) => index === master)?.name ?? 'something else';
    throw cannot(`is a port of ${of}; make a network with -o parent=${of}`);
  }
  if (own && !found.up) socket.request([setLink(found.index, { up: true })]);
  else if (!found.up) throw cannot(`is down (ip link set ${network.bridge} up)`);
  return found;
}

function addDummy(socket: NetlinkSocket, { name, bridge }: Pick<Network, 'name' | 'bridge'>): void {
  try {
    socket.request([addLink({ name: bridge, up: true }, { kind: 'dummy' })]);
  } catch (error) {
    if (!isErrno(error, 'EOPNOTSUPP')) throw error;
    throw new TareError(
      'unsupported',
      `Cannot bring up network ${name}: this kernel has no dummy links (modprobe dummy); use --driver bridge, or -o parent=LINK`,
      { cause: error },
    );
  }
}

/**
 * What a container's link has of its network's parent: its hardware address, which with macvlan is a new one, and which addresses are the machine's own. Errors: as `ensureParent`; invalid for a hardware address where links
 * have their parent's.
 */
export function parentOf(
  places: NetworkPlaces,
  network: Network,
  wish: { readonly mac?: string },
): { mac: Uint8Array; addresses: ReadonlySet<string> } {
  if (network.driver === 'ipvlan' && wish.mac !== undefined)
    throw new TareError(
      'invalid',
      `Cannot give hardware address ${wish.mac}: links of ipvlan network ${network.name} have their parent's`,
    );
  using socket = NetlinkSocket.open('route', places.netns);
  const parent = ensureParent(socket, network);
  const own = addresses(socket).map(({ address }) => formatAddress(address));
  return { mac: network.driver === 'macvlan' ? newMac() : parent.mac, addresses: new Set(own) };
}

/**
 * Makes a container's link on top of its network's parent, in the container's namespace: there it goes with it. Older kernels (6.1) look for its name among the machine's own links, so it has another one there, and its own
 * when it has arrived. Errors: failed-precondition where the parent has links that do not go together with it; by errno.
 */
export function addSubLink(
  outside: NetlinkSocket,
  inside: NetlinkSocket,
  netns: FdLike,
  network: Network,
  joined: Joined,
): void {
  const parent = ensureParent(outside, network).index;
  const { driver } = network;
  const mtu = mtuOf(network);
  const name = `m${Buffer.from(newMac()).toString('hex')}`;
  const settings = { name, netns, ...(mtu === undefined ? {} : { mtu }) };
  try {
    outside.request([
      driver === 'macvlan'
        ? addLink(
            { ...settings, mac: parseMac(joined.mac) },
            { kind: driver, parent, mode: subLinkMode(driver, network) },
          )
        : addLink(settings, { kind: 'ipvlan', parent, mode: subLinkMode('ipvlan', network) }),
    ]);
  } catch (error) {
    if (!isErrno(error, 'EBUSY', 'EINVAL')) throw error;
    const why =
      network.options['mode'] === 'passthru'
        ? 'passthru gives it to one container, and it has another link'
        : 'it has links of another kind or mode; macvlan, ipvlan, bridges and bonds do not share one';
    throw new TareError(
      'failed-precondition',
      `Cannot join network ${network.name}: its parent ${network.bridge} takes no ${driver} link: ${why}`,
      { cause: error },
    );
  }
  const index = findLink(inside, name)?.index;
  if (index === undefined) return;
  try {
    inside.request([setLink(index, { name: joined.interface })]);
  } catch (error) {
    inside.request([deleteLink(name)]);
    throw error;
  }
}

/** So long the kernel may need for the namespace of before, in which a link has the same hardware address. */
const PATIENCE_MS = 3_000;
const POLL_MS = 5;

/** Brings such a link up: its neighbours are told where its addresses are now. Errors: already-exists for a hardware address that another link on the same parent has; by errno. */
export async function bringUp(
  inside: NetlinkSocket,
  netns: FdLike,
  network: Network,
  joined: Joined,
  index: number,
): Promise<void> {
  setNetSysctl(netns, `ipv4/conf/${joined.interface}/arp_notify`, '1');
  if (network.subnets.some(({ subnet }) => subnet.includes(':')))
    setNetSysctl(netns, `ipv6/conf/${joined.interface}/ndisc_notify`, '1');
  const deadline = monotonicMs() + PATIENCE_MS;
  for (;;) {
    try {
      inside.request([setLink(index, { up: true })]);
      return;
    } catch (error) {
      if (!isErrno(error, 'EADDRINUSE')) throw error;
      if (monotonicMs() > deadline)
        throw new TareError(
          'already-exists',
          `Cannot join network ${network.name}: another link on ${network.bridge} has hardware address ${joined.mac}`,
          { cause: error },
        );
      await sleep(POLL_MS);
    }
  }
}
