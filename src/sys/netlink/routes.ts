import { familyOf, name } from './addresses.ts';
import { attribute, Attributes, malformed, u32 } from './attributes.ts';
import { NLM_F_CREATE, NLM_F_REPLACE } from './message.ts';
import type { NetlinkSocket, Request } from './socket.ts';

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_TABLE = 15;
const RTMSG_BYTES = 12;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_LINK = 253;
const RT_SCOPE_HOST = 254;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;

/** A way to `to`, or to everywhere (prefix 0), in the main table. */
export interface Route {
  /** Its bytes say which family. */
  readonly to: Uint8Array;
  readonly prefix: number;
  readonly gateway?: Uint8Array;
  readonly index?: number;
  readonly metric?: number;
}

const request = (type: number, flags: number, what: string, route: Route): Request => {
  const { to, prefix, gateway, index, metric } = route;
  const header = Buffer.alloc(RTMSG_BYTES);
  header.set([familyOf(to), prefix, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, 0, RTN_UNICAST]);
  if (gateway === undefined && to.length === 4) header[6] = RT_SCOPE_LINK;
  return {
    type,
    flags,
    parts: [
      header,
      ...(prefix === 0 ? [] : [attribute(RTA_DST, to)]),
      ...(gateway === undefined ? [] : [attribute(RTA_GATEWAY, gateway)]),
      ...(index === undefined ? [] : [u32(RTA_OIF, index)]),
      ...(metric === undefined ? [] : [u32(RTA_PRIORITY, metric)]),
    ],
    what,
    of: `${name(to)}/${prefix}`,
  };
};

/** Adds a route, or replaces the one to the same place. */
export function addRoute(route: Route): Request {
  return request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, 'add route', route);
}

/** In `table` (up to 255), every address is one of ours, on the link `index`. Idempotent. */
export function addLocalRoute(family: 4 | 6, table: number, index: number): Request {
  const to = new Uint8Array(family === 4 ? 4 : 16);
  const header = Buffer.alloc(RTMSG_BYTES);
  header.set([familyOf(to), 0, 0, 0, table, RTPROT_STATIC, RT_SCOPE_HOST, RTN_LOCAL]);
  return {
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    parts: [header, u32(RTA_OIF, index)],
    what: 'add route',
    of: `to everywhere in table ${table}`,
  };
}

/** Deletes a route; that there is none is fine. */
export function deleteRoute(route: Route): Request {
  return { ...request(RTM_DELROUTE, 0, 'delete route', route), allow: ['ESRCH', 'ENODEV'] };
}

/** The unicast routes of the main table in the socket's namespace. */
export function routes(socket: NetlinkSocket): Route[] {
  return socket
    .dump({ type: RTM_GETROUTE, parts: [Buffer.alloc(RTMSG_BYTES)], what: 'list routes' }, readRoute)
    .filter((route) => route !== undefined);
}

/** struct rtmsg and its attributes; undefined for a route of another kind or table. Errors: invalid. */
export function readRoute(payload: Buffer): Route | undefined {
  if (payload.length < RTMSG_BYTES) throw malformed('half a route');
  const [family, prefix = 0, , , table, , , type] = payload;
  const bytes = family === 2 ? 4 : family === 10 ? 16 : 0;
  const attributes = new Attributes(payload.subarray(RTMSG_BYTES));
  if (bytes === 0 || type !== RTN_UNICAST || (attributes.u32(RTA_TABLE) ?? table) !== RT_TABLE_MAIN) return undefined;
  const to = attributes.bytes(RTA_DST);
  if ((to !== undefined && to.length !== bytes) || prefix > bytes * 8)
    throw malformed('a route to an address of no kind');
  const gateway = attributes.bytes(RTA_GATEWAY);
  const index = attributes.u32(RTA_OIF);
  const metric = attributes.u32(RTA_PRIORITY);
  return {
    to: to === undefined ? Buffer.alloc(bytes) : Buffer.from(to),
    prefix,
    ...(gateway === undefined ? {} : { gateway: Buffer.from(gateway) }),
    ...(index === undefined ? {} : { index }),
    ...(metric === undefined ? {} : { metric }),
  };
}
