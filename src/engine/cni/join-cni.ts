import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { definedOf } from '../../base/defined.ts';
import { TareError } from '../../base/errors.ts';
import type { JoinWish } from '../../network/attach.ts';
import type { Attachment, Published } from '../../network/attachment.ts';
import { addCni } from '../../network/cni/add.ts';
import { attachmentsOf } from '../../network/cni/attachments.ts';
import type { CniNetwork } from '../../network/cni/cni-network.ts';
import { findCniNetwork } from '../../network/cni/conf-dir.ts';
import { deleteAllCni } from '../../network/cni/delete.ts';
import type { JsonObject } from '../../network/cni/json.ts';
import { capabilitiesOf } from '../../network/cni/plugin-config.ts';
import type { CniResult } from '../../network/cni/result.ts';
import { pinNamespace } from '../../network/pin-namespace.ts';
import { reservePorts } from '../../network/reserve-ports.ts';
import { formatAddress } from '../../spec/ip.ts';
import type { Fd } from '../../sys/fd.ts';
import { addresses } from '../../sys/netlink/addresses.ts';
import { setLink } from '../../sys/netlink/links.ts';
import { NetlinkSocket } from '../../sys/netlink/socket.ts';
import type { Engine } from '../engine.ts';
import type { NameOptions } from '../network-files.ts';
import { networkPlaces } from '../network-ground.ts';
import type { ContainerRecord } from '../record.ts';
import { cniGround } from './cni-ground.ts';
import { cniName, isCniNetwork } from './cni-names.ts';
import { cniJoined } from './joined.ts';
import { OWED } from './owes-cni.ts';

const LOOPBACK = 1;
/** Who had the container before may be leaving, with its ports. */
const LEAVING_MS = 3_000;

/**
 * Puts a container into the CNI networks of its record, in their order. Its namespace gets a name that stays until `leaveCni`, so that plugins can undo all they did, however it ends. With `publishes` its ports are made by the
 * first network that has a plugin for them; the descriptor that comes back keeps them.
 *
 * Errors: not-found network or plugin; failed-precondition without a plugin for ports; invalid when a network gives another address than was asked for; those of the plugins. What is there then is undone by `leaveCni`, which is the caller's to do.
 */
export async function joinCni(
  engine: Engine,
  record: ContainerRecord,
  netns: Fd,
  publishes: boolean,
): Promise<Fd | undefined> {
  const ground = cniGround(engine);
  const { join: wishes = [], ports = [] } = record.net ?? {};
  const wanted = wishes.flatMap((wish, at) =>
    isCniNetwork(wish.network)
      ? [{ wish, ifname: wish.interface ?? `eth${at}`, network: findCniNetwork(ground.confDir, cniName(wish.network)) }]
      : [],
  );
  const isFollowed = attachmentsOf(ground.stateDir, record.id).length > 0;
  // What is due from before is done first: a plugin may not be asked twice for the same.
  await deleteAllCni(ground, record.id);
  rmSync(join(ground.stateDir, record.id, OWED), { force: true });
  const publisher = publishes && ports.length > 0 ? publisherOf(wanted.map(({ network }) => network)) : undefined;
  using stack = new DisposableStack();
  const path = pinNamespace(ground.pinDir, record.id, netns);
  using inside = NetlinkSocket.open('route', netns);
  inside.request([setLink(LOOPBACK, { up: true })]);
  let reserved: Fd | undefined;
  if (publisher !== undefined) {
    const places = networkPlaces(engine);
    reserved = stack.use(await reservePorts(places, record.id, ports.map(reservable), isFollowed ? LEAVING_MS : 0));
  }
  for (const { wish, ifname, network } of wanted) {
    const result = await addCni(ground, network, {
      containerId: record.id,
      ifname,
      netns: path,
      ...asked(network, wish),
      capabilityArgs: {
        ...askedCapabilities(network, wish),
        ...(network === publisher ? { portMappings: ports.map(portMapping) } : {}),
      },
    });
    checkGiven(network, wish, ifname, result);
  }
  stack.move();
  return reserved;
}

/** A container's attachment with its CNI networks, in the order of its record, and what these say of names where the container's options say nothing. */
export function namesOfCni(
  engine: Engine,
  record: ContainerRecord,
  ours: Attachment,
): { attachment: Attachment; options: NameOptions } {
  const plugged = cniJoined(engine, record);
  const places = networkPlaces(engine);
  using socket = NetlinkSocket.open('route', places.netns);
  const own = new Set(addresses(socket).map(({ address }) => formatAddress(address)));
  const all = [
    ...ours.networks,
    ...plugged.networks.map((one) =>
      own.has(one.addresses[0]?.gateway ?? '') ? one : { ...one, external: true as const },
    ),
  ];
  const networks = (record.net?.join ?? []).flatMap(({ network }) => all.find((one) => one.network === network) ?? []);
  const { names = {} } = record;
  const said = (words: readonly string[]): readonly string[] | undefined => (words.length === 0 ? undefined : words);
  return {
    attachment: { ...ours, networks },
    options: definedOf({
      ...names,
      dns: names.dns ?? said(plugged.dns.flatMap(({ nameservers }) => nameservers)),
      dnsSearch:
        names.dnsSearch ??
        said(plugged.dns.flatMap(({ search, domain }) => [...search, ...(domain === undefined ? [] : [domain])])),
      dnsOptions: names.dnsOptions ?? said(plugged.dns.flatMap(({ options }) => options)),
    }),
  };
}

type Port = NonNullable<ContainerRecord['net']>['ports'][number];

/** As the convention has it, also for those of all addresses. */
function portMapping({ hostAddress, hostPort, port, protocol }: Port): JsonObject {
  return { hostPort, containerPort: port, protocol, ...(hostAddress === undefined ? {} : { hostIP: hostAddress }) };
}

const reservable = (port: Port): Published => ({ ...port, address: port.hostAddress ?? '0.0.0.0' });

function publisherOf(networks: readonly CniNetwork[]): CniNetwork {
  const found = networks.find((network) => capabilitiesOf(network).has('portMappings'));
  if (found !== undefined) return found;
  throw new TareError(
    'failed-precondition',
    `Cannot publish ports: no plugin of CNI network ${networks.map(({ name }) => name).join(', ')} has the capability portMappings (add {"type": "portmap", "capabilities": {"portMappings": true}} to ${networks[0]?.path ?? 'it'})`,
  );
}

/** Addresses for plugins that say they take them; aliases only where one does: they are in /etc/hosts anyway. */
function askedCapabilities(network: CniNetwork, { addresses, mac, aliases }: JoinWish): JsonObject {
  const has = capabilitiesOf(network);
  return {
    ...(addresses !== undefined && has.has('ips') ? { ips: addresses } : {}),
    ...(mac !== undefined && has.has('mac') ? { mac } : {}),
    ...(aliases !== undefined && has.has('aliases') ? { aliases } : {}),
  };
}

/** The older way, for the others. */
function asked(network: CniNetwork, { addresses = [], mac }: JoinWish): { args?: [string, string][] } {
  const has = capabilitiesOf(network);
  const args: [string, string][] = [
    ...(has.has('ips') ? [] : addresses.map((address): [string, string] => ['IP', address])),
    ...(mac === undefined || has.has('mac') ? [] : [['MAC', mac] as [string, string]]),
  ];
  return args.length === 0 ? {} : { args: [['IgnoreUnknown', '1'], ...args] };
}

/** A plugin may ignore what it is asked for. */
function checkGiven(network: CniNetwork, { addresses = [], mac }: JoinWish, ifname: string, result: CniResult): void {
  const given = result.ips.map(({ address }) => address.replace(/\/.*/, ''));
  const missed = addresses.find((address) => !given.includes(address));
  if (missed !== undefined)
    throw new TareError(
      'invalid',
      `Cannot give address ${missed}: CNI network ${network.name} gave ${given.join(', ') || 'none'}`,
    );
  const link = result.interfaces.find(({ name, sandbox }) => name === ifname && sandbox !== undefined);
  if (mac !== undefined && link?.mac?.toLowerCase() !== mac.toLowerCase().replaceAll('-', ':'))
    throw new TareError(
      'invalid',
      `Cannot give hardware address ${mac}: CNI network ${network.name} gave ${link?.mac ?? 'none'}`,
    );
}
