import { linkSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isKind, TareError } from '../base/errors.ts';
import {
  addressOfNumber,
  boundsOf,
  formatAddress,
  formatSubnet,
  overlaps,
  parseAddress,
  parseSubnet,
  subnetOf,
  type Subnet,
} from '../spec/ip.ts';
import { sysErrorOf } from '../sys/error.ts';
import { routes } from '../sys/netlink/routes.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import { randomBytes } from '../sys/random-bytes.ts';
import {
  checkNetworkName,
  checkOptions,
  checkRange,
  type Network,
  type NetworkDriver,
  networkDrivers,
  parseNetwork,
  rangesOf,
} from './network.ts';
import type { NetworkPlaces } from './network-places.ts';
import { ensureParent } from './sub-link.ts';

/** What a new network is to be. */
export interface NetworkWish {
  readonly name: string;
  /** Each with what belongs to it; none: one that is free. */
  readonly subnets?: readonly { readonly subnet: string; readonly gateway?: string; readonly range?: string }[];
  /** Also IPv6, from an own unique local prefix where no subnet says another one. */
  readonly ipv6?: boolean;
  readonly internal?: boolean;
  readonly options?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** Default: bridge. With macvlan and ipvlan `options.parent` says which link is shared; an internal network can do without. */
  readonly driver?: NetworkDriver;
  /** Name of the bridge; default: one of ours. With another driver the same as `options.parent`. */
  readonly bridge?: string;
}

/** The network of containers that ask for none in particular. */
export const DEFAULT_NETWORK = 'bridge';

/** Where subnets are looked for: first of 10.90 to 10.99, one of which is the default network's, then of 10.100 to 10.127. Podman's begin at 10.88, docker's at 172.17. */
const defaultPool = Array.from({ length: 10 }, (_, i) => `10.${90 + i}.0.0/16`);
function* userPool(): Generator<string> {
  for (let second = 100; second < 128; second++)
    for (let third = 0; third < 256; third++) yield `10.${second}.${third}.0/24`;
}

const recordPath = (places: NetworkPlaces, name: string): string => join(places.records, `${name}.json`);

/** All networks by name. Errors: of records that cannot be read. */
export function listNetworks(places: NetworkPlaces): Network[] {
  let names: string[];
  try {
    names = readdirSync(places.records);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw readError(error, 'list networks');
  }
  return names
    .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
    .sort()
    .flatMap((name) => readNetwork(places, name.slice(0, -'.json'.length)) ?? []);
}

function readNetwork(places: NetworkPlaces, name: string): Network | undefined {
  const path = recordPath(places, name);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw readError(error, `find network ${name}`);
  }
  return parseNetwork(text, path);
}

function readError(cause: unknown, doing: string): TareError {
  const { kind, message } = sysErrorOf(cause) as TareError;
  return new TareError(kind, `Cannot ${doing}: ${message.replace(/^Cannot /, '')}`, { cause });
}

/** A network by name, id or a unique beginning of its id. Errors: not-found; invalid when a beginning fits several. */
export function findNetwork(places: NetworkPlaces, nameOrId: string): Network {
  const named = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(nameOrId) ? readNetwork(places, nameOrId) : undefined;
  if (named !== undefined) return named;
  const found = /^[0-9a-f]{1,64}$/.test(nameOrId)
    ? listNetworks(places).filter(({ id }) => id.startsWith(nameOrId))
    : [];
  if (found.length > 1)
    throw new TareError('invalid', `Cannot choose network ${nameOrId}: ${found.length} ids begin with it`);
  const [network] = found;
  if (network === undefined) throw new TareError('not-found', `Cannot find network ${nameOrId}: no such network`);
  return network;
}

/** The name of a network, as records have it, by name, id or the beginning of its id. What is none of a network stays as it is. Errors: invalid when a beginning fits several. */
export function networkName(places: NetworkPlaces, nameOrId: string): string {
  try {
    return findNetwork(places, nameOrId).name;
  } catch (error) {
    if (isKind(error, 'not-found')) return nameOrId;
    throw error;
  }
}

/** As `findNetwork`; the default network is made when it is asked for first. The caller has the lock. */
export function findOrMakeNetwork(places: NetworkPlaces, nameOrId: string): Network {
  try {
    return findNetwork(places, nameOrId);
  } catch (error) {
    if (nameOrId !== DEFAULT_NETWORK || !isKind(error, 'not-found')) throw error;
    return createNetwork(places, { name: DEFAULT_NETWORK });
  }
}

/**
 * Makes a network's record; its bridge comes with its first container. The caller has the lock, so that no two choose the same subnet.
 *
 * Errors: already-exists; invalid; failed-precondition for a subnet that the machine uses already; exhausted when no subnet is free.
 */
export function createNetwork(places: NetworkPlaces, wish: NetworkWish): Network {
  checkNetworkName(wish.name);
  const driver = wish.driver ?? 'bridge';
  if (!networkDrivers.includes(driver))
    throw new TareError('invalid', `Cannot use driver ${String(driver)}: there are ${networkDrivers.join(', ')}`);
  const options = driver === 'bridge' ? (wish.options ?? {}) : subLinkOptions(wish);
  checkOptions(options, driver);
  if (wish.bridge !== undefined && !/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/.test(wish.bridge))
    throw new TareError(
      'invalid',
      `Cannot use interface name ${wish.bridge}: expected up to 15 letters, digits, _ . -`,
    );
  const others = listNetworks(places);
  const taken = (what: string, of: string): TareError =>
    new TareError('already-exists', `Cannot create network ${wish.name}: network ${of} has ${what}`);
  const namesake = others.find(({ name }) => name === wish.name);
  if (namesake !== undefined) throw taken('that name', namesake.name);
  // Any number of networks can share a parent.
  const { parent } = options;
  const link = parent ?? wish.bridge;
  const sameBridge = others.find(
    (other) => other.bridge === link && (driver === 'bridge' || other.driver === 'bridge'),
  );
  if (sameBridge !== undefined) throw taken(`interface ${sameBridge.bridge}`, sameBridge.name);
  if (driver !== 'bridge' && parent !== undefined) checkParent(places, wish, parent);
  // On top of a link of the machine's the addresses are its network's: there is a route to them.
  const inUse = usedSubnets(places, others, parent === undefined);
  const subnets = chosenSubnets(wish, inUse);
  const id = randomBytes(32).toString('hex');
  const network: Network = {
    version: 1,
    id,
    name: wish.name,
    driver,
    bridge: parent ?? wish.bridge ?? `tare${id.slice(0, 10)}`,
    createdAt: new Date().toISOString(),
    subnets,
    internal: wish.internal === true,
    options,
    labels: wish.labels ?? {},
  };
  rangesOf(network).forEach(checkRange);
  const temp = join(places.records, `.${id}`);
  writeFileSync(temp, JSON.stringify(network), { mode: 0o600, flush: true });
  try {
    linkSync(temp, recordPath(places, wish.name));
  } finally {
    rmSync(temp, { force: true });
  }
  return network;
}

/** What a macvlan or ipvlan network is told: its options as podman has them; docker has the driver's name before the mode. Errors: invalid. */
function subLinkOptions({
  name,
  driver,
  internal,
  bridge,
  options = {},
  subnets = [],
}: NetworkWish): Record<string, string> {
  const { [`${driver ?? ''}_mode`]: mode, ...rest } = options;
  const all = {
    ...(bridge === undefined ? {} : { parent: bridge }),
    ...(mode === undefined ? {} : { mode }),
    ...rest,
  };
  if (all['parent'] === undefined && internal !== true)
    throw new TareError(
      'invalid',
      `Cannot create network ${name}: say which link of this machine its containers share (-o parent=LINK), or that they have no way out (--internal)`,
    );
  if (all['parent'] !== undefined && subnets.length === 0)
    throw new TareError(
      'invalid',
      `Cannot create network ${name}: say which addresses it has (--subnet, --gateway, --ip-range); addresses by DHCP are not supported`,
    );
  return all;
}

/** Errors: failed-precondition. */
function checkParent(places: NetworkPlaces, { name, options = {} }: NetworkWish, parent: string): void {
  using socket = NetlinkSocket.open('route', places.netns);
  ensureParent(socket, { name, bridge: parent, options: { ...options, parent } });
}

/** Deletes a network's record. Idempotent. */
export function deleteNetworkRecord(places: NetworkPlaces, network: Network): void {
  try {
    unlinkSync(recordPath(places, network.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

interface UsedSubnet {
  readonly subnet: Subnet;
  readonly by: string;
}

/** What the machine has a way to, and what other networks have. */
function usedSubnets(places: NetworkPlaces, networks: readonly Network[], alsoRoutes: boolean): UsedSubnet[] {
  using socket = NetlinkSocket.open('route', places.netns);
  return [
    ...networks.flatMap((network) =>
      rangesOf(network).map(({ subnet }) => ({ subnet, by: `network ${network.name} has` })),
    ),
    ...routes(socket)
      .filter(({ prefix }) => alsoRoutes && prefix > 0)
      .map(({ to, prefix }) => ({ subnet: subnetOf(to, prefix), by: 'the machine has a route to' })),
  ];
}

function chosenSubnets(wish: NetworkWish, inUse: readonly UsedSubnet[]): Network['subnets'] {
  const asked = (wish.subnets ?? []).map((one) => {
    const subnet = parseSubnet(one.subnet, 'subnet');
    const other = inUse.find((used) => overlaps(used.subnet, subnet));
    if (other !== undefined)
      throw new TareError(
        'failed-precondition',
        `Cannot create network ${wish.name}: ${other.by} ${formatSubnet(other.subnet)}, which is in ${formatSubnet(subnet)} or around it`,
      );
    return recorded(subnet, one.gateway, one.range);
  });
  const hasV6 = asked.some(({ subnet }) => subnet.includes(':'));
  const needsV4 = asked.length === 0;
  const isFree = (text: string): boolean => {
    const subnet = parseSubnet(text);
    return !inUse.some((used) => overlaps(used.subnet, subnet));
  };
  if (needsV4) {
    const pool = wish.name === DEFAULT_NETWORK ? defaultPool : userPool();
    let found: string | undefined;
    for (const text of pool)
      if (isFree(text)) {
        found = text;
        break;
      }
    if (found === undefined)
      throw new TareError('exhausted', `Cannot create network ${wish.name}: no subnet is free; say one (--subnet)`);
    asked.unshift(recorded(parseSubnet(found)));
  }
  if (wish.ipv6 === true && !hasV6) asked.push(recorded(uniqueLocal()));
  return asked;
}

const ULA_BYTES = 6;
const ULA_PREFIX = 64;

/** A prefix of RFC 4193: nobody else is likely to have it. */
function uniqueLocal(): Subnet {
  const address = new Uint8Array(16);
  address.set(randomBytes(ULA_BYTES));
  address[0] = 0xfd;
  return { address, prefix: ULA_PREFIX };
}

function recorded(subnet: Subnet, gateway?: string, range?: string): Network['subnets'][number] {
  const [first] = boundsOf(subnet);
  return {
    subnet: formatSubnet(subnet),
    gateway: formatAddress(
      gateway === undefined ? addressOfNumber(first + 1n, subnet.address.length) : parseAddress(gateway, 'gateway'),
    ),
    ...(range === undefined ? {} : { range: formatSubnet(parseSubnet(range, 'range')) }),
  };
}
