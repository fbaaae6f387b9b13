import { sleep } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { deleteLink, findLink } from '../sys/netlink/links.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import type { Keeper } from './keeper.ts';
import { machineAddresses } from './machine-addresses.ts';
import { startPasta } from './pasta.ts';

/** The link by which packets leave the namespace. */
const LINK = 'tap0';
/** Addresses that are nobody's: with the machine's own, containers could not reach the machine by it. */
const ADDRESS = '169.254.127.2';
const PREFIX = '30';
const GATEWAY = '169.254.127.1';
const ADDRESS_V6 = 'fd74:6172:65::2';
const GATEWAY_V6 = 'fd74:6172:65::1';
const DYING_MS = 1_000;

/**
 * Lets packets leave the namespace of a user's networks, by a pasta that lives as long as the keeper. `connection` is one to the keeper that is nobody else's. Returns why that cannot be, undefined
 * when it is done.
 */
export async function makeWayOut(connection: Keeper, program: string | undefined): Promise<string | undefined> {
  if (program === undefined)
    return 'containers of a user reach each other and nothing else: pasta is not installed (Debian package passt)';
  const { v4, v6 } = machineAddresses();
  if (v4 === undefined && v6 === undefined)
    return 'containers of a user reach each other and nothing else: the machine has no default route';
  try {
    await withoutFormer(connection);
    connection.beWayOut();
    await startPasta(program, connection.netns, connection.connection, [
      '--no-map-gw',
      ...['--ns-ifname', LINK, '-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none'],
      ...(v4 === undefined ? ['-6'] : ['-a', ADDRESS, '-n', PREFIX, '-g', GATEWAY]),
      ...(v6 === undefined ? ['-4'] : ['-a', ADDRESS_V6, '-g', GATEWAY_V6]),
    ]);
    return undefined;
  } catch (error) {
    return `containers of a user reach each other and nothing else: ${messageOf(error)}`;
  }
}

/** One whose keeper was killed is about to go, with its link. */
async function withoutFormer({ netns }: Keeper): Promise<void> {
  using socket = NetlinkSocket.open('route', netns);
  for (const end = performance.now() + DYING_MS; performance.now() < end; await sleep(2))
    if (findLink(socket, LINK) === undefined) return;
  socket.request([deleteLink(LINK)]);
}
