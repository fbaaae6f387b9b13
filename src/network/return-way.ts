import type { FdLike } from '../sys/fd.ts';
import { setLink } from '../sys/netlink/links.ts';
import { addLocalRoute } from '../sys/netlink/routes.ts';
import { addMarkRule } from '../sys/netlink/rules.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import { compare, immediate, native32, setMark, socketIsTransparent } from '../sys/nftables/expressions.ts';
import { Nftables } from '../sys/nftables/nftables.ts';
import { addChain, addRule, addTable } from '../sys/nftables/objects.ts';

/** Only in a namespace of our own: nobody else's mark or table can be the same. */
const TABLE = 'tare_answers';
const CHAIN = 'answers';
const MARK = 1;
const ROUTES = 100;
const PRIORITY = 100;
const LOOPBACK = 1;
/** Before a packet is routed. */
const MANGLE = -150;

/**
 * The keeper speaks to containers with the address of the client it speaks for. Their answers, to an address that is somewhere outside, have to come to its sockets: what is for such a socket is
 * marked, and to the marked all addresses are our own. Idempotent. The table comes last: where it is, all is.
 *
 * Errors: by errno where the kernel has no such expression; clients' addresses are then not kept.
 */
export function makeReturnWay(netns: FdLike): void {
  using socket = NetlinkSocket.open('route', netns);
  socket.request([setLink(LOOPBACK, { up: true })]);
  for (const family of [4, 6] as const)
    socket.request([
      addLocalRoute(family, ROUTES, LOOPBACK),
      addMarkRule({ family, mark: MARK, table: ROUTES, priority: PRIORITY }),
    ]);
  using nft = new Nftables(netns);
  if (nft.tableComment(TABLE) !== undefined) return;
  nft.commit([
    addTable(TABLE),
    addChain(TABLE, CHAIN, { type: 'filter', at: 'prerouting', priority: MANGLE }),
    addRule(TABLE, CHAIN, [
      socketIsTransparent(),
      compare('is', Uint8Array.of(1)),
      immediate(native32(MARK)),
      setMark(),
    ]),
  ]);
}

/** Whether containers can be spoken to with clients' addresses. */
export function hasReturnWay(netns: FdLike): boolean {
  using nft = new Nftables(netns);
  return nft.tableComment(TABLE) !== undefined;
}
