import { isKind, TareError } from '../base/errors.ts';
import { connect, disconnect, type JoinWish } from '../network/attach.ts';
import { readAttachment } from '../network/attachment.ts';
import { checkNetworkName, type Network } from '../network/network.ts';
import { lockNetworks } from '../network/network-places.ts';
import {
  createNetwork as create,
  DEFAULT_NETWORK,
  findNetwork,
  listNetworks as list,
  networkName,
  type NetworkWish,
} from '../network/networks.ts';
import { reloadNetworks as reload } from '../network/reload.ts';
import { removeNetwork as remove, usersOf } from '../network/remove-network.ts';
import { isCniNetwork } from './cni/cni-names.ts';
import { anyCni } from './cni/owes-cni.ts';
import type { ListedCni } from './cni/list-cni.ts';
import { beginChange } from './change.ts';
import { emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { openInit } from './init-process.ts';
import { networkPlaces, openGround } from './network-ground.ts';
import { updateNetworkFiles } from './network-names.ts';
import { openReadOnly } from './open-read-only.ts';
import { containerIds, resolveContainer } from './names.ts';
import { isWished, type PruneWish } from './prune-wish.ts';
import { reconcile } from './reconcile.ts';
import { findRecord, readRecord } from './record.ts';

/**
 * Makes a network. Errors: already-exists; invalid; failed-precondition for a subnet that is in use, or a parent that cannot be shared; exhausted; unsupported driver for an unprivileged user.
 */
export async function createNetwork(engine: Engine, wish: NetworkWish): Promise<Network> {
  const { name, driver = 'bridge' } = wish;
  if (engine.rootless !== undefined && driver !== 'bridge')
    throw new TareError(
      'unsupported',
      `Cannot create network ${name}: driver ${driver} needs root: networks of users are where no link of this machine is`,
    );
  const places = networkPlaces(engine);
  using _lock = await lockNetworks(places);
  const network = create(places, wish);
  tell(engine, network, 'create');
  return network;
}

/** All networks by name; the default one is there as soon as a container was in it. */
export function listNetworks(engine: Engine): Network[] {
  return list(networkPlaces(engine));
}

/** The networks of CNI plugins that the machine has configurations of, by name (`cni:NAME`). */
export async function listCniNetworks(engine: Engine): Promise<ListedCni[]> {
  return engine.rootless === undefined ? (await import('./cni/list-cni.ts')).listCni(engine) : [];
}

/** Whether there is such a network. */
export async function networkExists(engine: Engine, nameOrId: string): Promise<boolean> {
  try {
    if (isCniNetwork(nameOrId)) return (await listCniNetworks(engine)).some(({ name }) => name === nameOrId);
    findNetwork(networkPlaces(engine), nameOrId);
    return true;
  } catch (error) {
    if (isKind(error, 'not-found')) return false;
    throw error;
  }
}

/** A network and who is in it, in the shape docker prints. Errors: not-found. */
export async function inspectNetwork(engine: Engine, nameOrId: string): Promise<object> {
  if (isCniNetwork(nameOrId)) return (await import('./cni/list-cni.ts')).inspectCni(engine, nameOrId);
  const places = networkPlaces(engine);
  const network = findNetwork(places, nameOrId);
  await collectDead(engine, network);
  const containers = usersOf(places, network).flatMap((id) => {
    const joined = readAttachment(places, id)?.networks.find(({ networkId }) => networkId === network.id);
    if (joined === undefined) return [];
    const address = (v6: boolean): string => {
      const found = joined.addresses.find((one) => one.address.includes(':') === v6);
      return found === undefined ? '' : `${found.address}/${found.prefix}`;
    };
    const view = {
      Name: findRecord(engine, id)?.name ?? '',
      EndpointID: '',
      MacAddress: joined.mac,
      IPv4Address: address(false),
      IPv6Address: address(true),
    };
    return [[id, view] as const];
  });
  return {
    Name: network.name,
    Id: network.id,
    Created: network.createdAt,
    Scope: 'local',
    Driver: network.driver,
    EnableIPv4: network.subnets.some(({ subnet }) => !subnet.includes(':')),
    EnableIPv6: network.subnets.some(({ subnet }) => subnet.includes(':')),
    IPAM: {
      Driver: 'default',
      Options: {},
      Config: network.subnets.map(({ subnet, gateway, range }) => ({
        Subnet: subnet,
        Gateway: gateway,
        ...(range === undefined ? {} : { IPRange: range }),
      })),
    },
    Internal: network.internal,
    Attachable: false,
    Ingress: false,
    Interface: network.bridge,
    Containers: Object.fromEntries(containers),
    Options: network.options,
    Labels: network.labels,
  };
}

/**
 * Removes a network. With `force` containers in it are disconnected first. Errors: not-found; failed-precondition when a container is in it.
 */
export async function removeNetwork(
  engine: Engine,
  nameOrId: string,
  options: { readonly force?: boolean } = {},
): Promise<void> {
  refuseCni('remove', nameOrId);
  const places = networkPlaces(engine);
  const network = findNetwork(places, nameOrId);
  await collectDead(engine, network);
  if (options.force === true)
    for (const id of usersOf(places, network)) await disconnectContainer(engine, network.name, id);
  using ground = await openGround(engine, 'look');
  await remove(ground.places, network);
  tell(engine, network, 'remove');
}

/** Removes the networks, but for the default one, that no container has, running or not. Returns their names. */
export async function pruneNetworks(engine: Engine, wish: PruneWish = {}): Promise<string[]> {
  const used = new Set(
    containerIds(engine).flatMap((id) => findRecord(engine, id)?.net?.join.map(({ network }) => network) ?? []),
  );
  const removed: string[] = [];
  for (const network of listNetworks(engine)) {
    if (network.name === DEFAULT_NETWORK || used.has(network.name) || !isWished(network, wish)) continue;
    try {
      await removeNetwork(engine, network.name);
      removed.push(network.name);
    } catch (error) {
      // Somebody began to use it, or removed it.
      if (!isKind(error, 'failed-precondition') && !isKind(error, 'not-found')) throw error;
    }
  }
  return removed;
}

/** Makes rules and bridges again as they should be, whatever others did to them, and has plugins do what they refused to at the end of a container. Errors: those of the plugins. */
export async function reloadNetworks(engine: Engine): Promise<void> {
  using ground = await openGround(engine, 'mend');
  await reload(ground.places);
  if (anyCni(engine)) await (await import('./cni/leave-cni.ts')).leaveOwedCni(engine);
}

/**
 * Puts a container into one more network, at once when it runs, and whenever it starts. Errors: not-found; already-exists when it is in it; failed-precondition for one without networks of its own.
 */
export async function connectContainer(engine: Engine, asked: JoinWish, nameOrId: string): Promise<void> {
  refuseCni('connect to', asked.network);
  checkNetworkName(asked.network);
  const places = networkPlaces(engine);
  const wish = { ...asked, network: networkName(places, asked.network) };
  const id = resolveContainer(engine, nameOrId);
  await reconcile(engine, id);
  using change = await beginChange(engine, id, 'connect');
  const record = readRecord(engine, id);
  const { net } = record;
  if (net === undefined || net.of !== undefined || record.network !== 'bridge')
    throw new TareError(
      'failed-precondition',
      `Cannot connect container ${record.name}: it was created with --network ${record.network}, and has no networks of its own`,
    );
  const network = wish.network === DEFAULT_NETWORK ? undefined : findNetwork(places, wish.network);
  if (net.join.some((one) => one.network === wish.network))
    throw new TareError(
      'already-exists',
      `Cannot connect to network ${wish.network}: container ${record.name} is in it`,
    );
  using netns = namespaceOf(engine, id);
  if (netns !== undefined) {
    using ground = await openGround(engine, 'join');
    const before = readAttachment(places, id);
    updateNetworkFiles(engine, record, before, await connect(ground.places, id, netns, wish), ground);
  }
  change.writeRecord({ ...record, net: { ...net, join: [...net.join, wish] } });
  if (network !== undefined) tell(engine, network, 'connect', { container: id });
}

/** Takes a container out of a network, at once and for good. Errors: not-found; failed-precondition for its last one, and the one its ports are reached by. */
export async function disconnectContainer(engine: Engine, network: string, nameOrId: string): Promise<void> {
  refuseCni('disconnect from', network);
  const places = networkPlaces(engine);
  const found = findNetwork(places, network);
  const id = resolveContainer(engine, nameOrId);
  await reconcile(engine, id);
  using change = await beginChange(engine, id, 'disconnect');
  const record = readRecord(engine, id);
  const join = record.net?.join ?? [];
  const left = join.filter((one) => one.network !== found.name);
  if (record.net === undefined || left.length === join.length)
    throw new TareError(
      'not-found',
      `Cannot disconnect from network ${found.name}: container ${record.name} is not in it`,
    );
  if (left.length === 0)
    throw new TareError(
      'failed-precondition',
      `Cannot disconnect from network ${found.name}: it is the only one of container ${record.name}; connect it to another one first`,
    );
  using netns = namespaceOf(engine, id);
  const before = readAttachment(places, id);
  if (before !== undefined) {
    using ground = await openGround(engine, 'look');
    updateNetworkFiles(engine, record, before, await disconnect(ground.places, id, netns, found), ground);
  }
  change.writeRecord({ ...record, net: { ...record.net, join: left } });
  tell(engine, found, 'disconnect', { container: id });
}

/** Of its first process; undefined when it does not run. */
function namespaceOf(engine: Engine, id: string): ReturnType<typeof openReadOnly> | undefined {
  using init = openInit(engine, id);
  if (init === undefined) return undefined;
  const netns = openReadOnly(`/proc/${init.pid}/ns/net`, 'open the network of the container');
  using again = openInit(engine, id);
  if (again?.pid === init.pid) return netns;
  netns.close();
  return undefined;
}

/** What dead containers have of a network is taken back. */
async function collectDead(engine: Engine, network: Network): Promise<void> {
  const places = networkPlaces(engine);
  for (const id of usersOf(places, network)) if (!places.isAlive(id)) await reconcile(engine, id);
}

/** They belong to whoever wrote their configuration. Errors: unsupported. */
function refuseCni(doing: string, network: string): void {
  if (isCniNetwork(network))
    throw new TareError(
      'unsupported',
      `Cannot ${doing} network ${network}: a container is in CNI networks from its start to its end, and they are what files in /etc/cni/net.d say`,
    );
}

function tell(engine: Engine, network: Network, action: string, attributes?: Readonly<Record<string, string>>): void {
  const { id, name, labels } = network;
  emit(engine, { type: 'network', action, id, name, labels, ...(attributes === undefined ? {} : { attributes }) });
}
