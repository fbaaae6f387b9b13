import type { FdLike } from '../fd.ts';
import { numberOf } from '../fd.ts';
import { attribute, Attributes, malformed, nested, text, u16, u32 } from './attributes.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from './message.ts';
import type { NetlinkSocket, Request } from './socket.ts';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;
const IFLA_BRPORT_MODE = 4;
const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;

const IFF_UP = 1;

const IFINFOMSG_BYTES = 16;

const macvlanModes = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
const ipvlanModes = { l2: 0, l3: 1, l3s: 2 } as const;

/** What a link can be given, when it is made or later. */
export interface LinkSettings {
  readonly name?: string;
  readonly up?: boolean;
  readonly mtu?: number;
  /** Index of the bridge it is a port of; 0: of none. */
  readonly master?: number;
  /** 6 bytes. */
  readonly mac?: Uint8Array;
  /** The namespace it goes to. */
  readonly netns?: FdLike;
}

/** A new link's kind. A `veth` comes with its other end, which may be in another namespace and cannot be up yet; `parent` is the index of the link that is shared. */
export type LinkKind =
  | { readonly kind: 'bridge' | 'dummy' }
  | { readonly kind: 'veth'; readonly peer: Omit<LinkSettings, 'up'> }
  | { readonly kind: 'macvlan'; readonly parent: number; readonly mode: keyof typeof macvlanModes }
  | { readonly kind: 'ipvlan'; readonly parent: number; readonly mode: keyof typeof ipvlanModes };

/** A link as the kernel tells it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly mtu: number;
  readonly mac: Buffer;
  /** "" for one that no driver calls something. */
  readonly kind: string;
  readonly master?: number;
}

/** Makes a link. Errors of the request: EEXIST for a name that is taken. */
export function addLink(settings: LinkSettings & { readonly name: string }, kind: LinkKind): Request {
  return {
    type: RTM_NEWLINK,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    parts: [
      header({ up: settings.up }),
      ...settingAttributes(settings),
      ...('parent' in kind ? [u32(IFLA_LINK, kind.parent)] : []),
      nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, kind.kind), ...kindData(kind)),
    ],
    what: 'add link',
    of: settings.name,
  };
}

function kindData(kind: LinkKind): Buffer[] {
  switch (kind.kind) {
    case 'veth':
      return [nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, header({}), ...settingAttributes(kind.peer)))];
    case 'macvlan':
      return [nested(IFLA_INFO_DATA, u32(IFLA_MACVLAN_MODE, macvlanModes[kind.mode]))];
    case 'ipvlan':
      return [nested(IFLA_INFO_DATA, u16(IFLA_IPVLAN_MODE, ipvlanModes[kind.mode]))];
    default:
      return [];
  }
}

/** Changes a link, by index. */
export function setLink(index: number, settings: LinkSettings): Request {
  return {
    type: RTM_NEWLINK,
    parts: [header({ up: settings.up, index }), ...settingAttributes(settings)],
    what: 'change link',
    of: settings.name ?? `number ${index}`,
  };
}

/** Lets a port of a bridge send out what came in by it: a container reaches itself by a published port, also where bridges ask the firewall. */
export function setHairpin(name: string): Request {
  const data = nested(IFLA_INFO_SLAVE_DATA, attribute(IFLA_BRPORT_MODE, Uint8Array.of(1)));
  return {
    type: RTM_NEWLINK,
    parts: [header({}), text(IFLA_IFNAME, name), nested(IFLA_LINKINFO, text(IFLA_INFO_SLAVE_KIND, 'bridge'), data)],
    what: 'change link',
    of: name,
  };
}

/** Deletes a link by name; one that is gone is fine. */
export function deleteLink(name: string): Request {
  return {
    type: RTM_DELLINK,
    parts: [header({}), text(IFLA_IFNAME, name)],
    what: 'delete link',
    of: name,
    allow: ['ENODEV'],
  };
}

/** All links of the socket's namespace. */
export function links(socket: NetlinkSocket): Link[] {
  return socket.dump({ type: RTM_GETLINK, parts: [header({})], what: 'list links' }, readLink);
}

/** A link by name, undefined when there is none. */
export function findLink(socket: NetlinkSocket, name: string): Link | undefined {
  const [answer] = socket.request([
    { type: RTM_GETLINK, parts: [header({}), text(IFLA_IFNAME, name)], what: 'find link', of: name, allow: ['ENODEV'] },
  ]);
  return answer === undefined ? undefined : readLink(answer.payload);
}

/** struct ifinfomsg and its attributes. Errors: invalid. */
export function readLink(payload: Buffer): Link {
  if (payload.length < IFINFOMSG_BYTES) throw malformed('half a link');
  const attributes = new Attributes(payload.subarray(IFINFOMSG_BYTES));
  const master = attributes.u32(IFLA_MASTER);
  return {
    index: payload.readInt32LE(4),
    name: attributes.text(IFLA_IFNAME) ?? '',
    up: (payload.readUInt32LE(8) & IFF_UP) !== 0,
    mtu: attributes.u32(IFLA_MTU) ?? 0,
    mac: Buffer.from(attributes.bytes(IFLA_ADDRESS) ?? []),
    kind: attributes.nested(IFLA_LINKINFO)?.text(IFLA_INFO_KIND) ?? '',
    ...(master === undefined ? {} : { master }),
  };
}

function header({ up, index = 0 }: { readonly up?: boolean | undefined; readonly index?: number | undefined }): Buffer {
  const bytes = Buffer.alloc(IFINFOMSG_BYTES);
  bytes.writeInt32LE(index, 4);
  if (up !== undefined) {
    bytes.writeUInt32LE(up ? IFF_UP : 0, 8);
    bytes.writeUInt32LE(IFF_UP, 12);
  }
  return bytes;
}

function settingAttributes({ name, mtu, master, mac, netns }: LinkSettings): Buffer[] {
  return [
    ...(name === undefined ? [] : [text(IFLA_IFNAME, name)]),
    ...(mtu === undefined ? [] : [u32(IFLA_MTU, mtu)]),
    ...(master === undefined ? [] : [u32(IFLA_MASTER, master)]),
    ...(mac === undefined ? [] : [attribute(IFLA_ADDRESS, mac)]),
    ...(netns === undefined ? [] : [u32(IFLA_NET_NS_FD, numberOf(netns))]),
  ];
}
