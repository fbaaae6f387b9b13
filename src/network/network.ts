import { TareError } from '../base/errors.ts';
import { contains, formatAddress, parseAddress, parseSubnet, type IpAddress, type Subnet } from '../spec/ip.ts';
import type { NetworkRules } from './firewall.ts';

/** One range of addresses of a network, as its record has it. */
export interface RecordedSubnet {
  readonly subnet: string;
  /** The bridge's own address; with another driver that of a router. */
  readonly gateway: string;
  /** Addresses are given from this part of it. */
  readonly range?: string;
}

/** Drivers whose containers have links on top of one of the machine's, and addresses of its network. */
export type SubLinkDriver = 'macvlan' | 'ipvlan';
export type NetworkDriver = 'bridge' | SubLinkDriver;
export const networkDrivers: readonly NetworkDriver[] = ['bridge', 'macvlan', 'ipvlan'];

/** What is remembered of a network. */
export interface Network {
  readonly version: 1;
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  readonly driver: NetworkDriver;
  /** Name of its bridge; of another driver's, of the link that its containers share. */
  readonly bridge: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** At least one. */
  readonly subnets: readonly RecordedSubnet[];
  /** No way out, and none in. */
  readonly internal: boolean;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** A range of addresses, ready to count with. */
export interface AddressRange {
  readonly subnet: Subnet;
  readonly gateway: IpAddress;
  readonly range: Subnet;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** What --network says that is no network's name. */
const reserved: ReadonlySet<string> = new Set([
  'none',
  'host',
  'private',
  'container',
  'ns',
  'pasta',
  'slirp4netns',
  'cni',
  'default',
]);
const MAX_NAME = 128;

/** Refuses what cannot be a network's name. */
export function checkNetworkName(name: string): void {
  if (name.length > MAX_NAME || !NAME.test(name))
    throw new TareError(
      'invalid',
      `Cannot use network name ${JSON.stringify(name)}: names match [a-zA-Z0-9][a-zA-Z0-9_.-]* and have at most ${MAX_NAME} characters`,
    );
  if (reserved.has(name)) throw new TareError('invalid', `Cannot use network name ${name}: it means something else`);
}

/** The ranges of a network. Errors: invalid. */
export function rangesOf(network: Pick<Network, 'subnets'>): AddressRange[] {
  return network.subnets.map(({ subnet: text, gateway, range }) => {
    const subnet = parseSubnet(text);
    return {
      subnet,
      gateway: parseAddress(gateway, 'gateway'),
      range: range === undefined ? subnet : parseSubnet(range, 'range'),
    };
  });
}

/** Whether its containers have their traffic leave with the machine's address. */
const masquerades = ({ internal, options }: Network): boolean => !internal && options['masquerade'] !== 'false';

/** What the firewall knows of it. */
export function rulesOf(network: Network): NetworkRules {
  return {
    bridge: network.bridge,
    subnets: rangesOf(network).map(({ subnet }) => subnet),
    internal: network.internal,
    masquerade: masquerades(network),
  };
}

/** Bytes of a packet, where the network says. */
export function mtuOf({ options }: Network): number | undefined {
  return options['mtu'] === undefined ? undefined : Number(options['mtu']);
}

const MIN_MTU = 68;
const MAX_MTU = 65_535;

const LINK_NAME = /^[^/:\s\p{Cc}]{1,15}$/u;

/** How links can share their parent; the first where nothing is said. */
export const subLinkModes = {
  macvlan: ['bridge', 'private', 'vepa', 'passthru'],
  ipvlan: ['l2', 'l3', 'l3s'],
} as const;

export type SubLinkMode<D extends SubLinkDriver> = (typeof subLinkModes)[D][number];

/** What each driver's networks may be told besides `mtu`: whether a value is one, and what it should be. */
const driverOptions: Readonly<Record<NetworkDriver, Readonly<Record<string, readonly [RegExp, string]>>>> = {
  bridge: { masquerade: [/^(true|false)$/, 'true or false'] },
  macvlan: { parent: [LINK_NAME, 'LINK'], mode: oneOf(subLinkModes.macvlan) },
  ipvlan: { parent: [LINK_NAME, 'LINK'], mode: oneOf(subLinkModes.ipvlan) },
};

function oneOf(words: readonly string[]): [RegExp, string] {
  return [new RegExp(`^(${words.join('|')})$`), words.join(', ')];
}

/** Refuses options that are none of the driver's. Errors: invalid. */
export function checkOptions(options: Readonly<Record<string, string>>, driver: NetworkDriver = 'bridge'): void {
  const known = driverOptions[driver];
  for (const [key, value] of Object.entries(options)) {
    const isGood =
      (key === 'mtu' && /^\d{1,5}$/.test(value) && Number(value) >= MIN_MTU && Number(value) <= MAX_MTU) ||
      (Object.hasOwn(known, key) && known[key]?.[0].test(value) === true);
    if (isGood) continue;
    const expected = Object.entries(known).map(([name, [, words]]) => `${name}=${words}`);
    throw new TareError(
      'invalid',
      `Cannot use option ${key}=${value}: expected ${[`mtu=${MIN_MTU} to ${MAX_MTU}`, ...expected].join('; ')}`,
    );
  }
}

/** How links of a macvlan or ipvlan network share their parent. Errors: invalid. */
export function subLinkMode<D extends SubLinkDriver>(driver: D, { options }: Pick<Network, 'options'>): SubLinkMode<D> {
  const modes: readonly SubLinkMode<D>[] = subLinkModes[driver];
  const wanted = options['mode'];
  const mode = wanted === undefined ? modes[0] : modes.find((one) => one === wanted);
  if (mode === undefined)
    throw new TareError('invalid', `Cannot use option mode=${wanted}: ${driver} has ${modes.join(', ')}`);
  return mode;
}

/** Its parent is a link of ours, which leads nowhere. */
export const hasOwnParent = ({ options }: Pick<Network, 'options'>): boolean => options['parent'] === undefined;

/** Whether packets are routed at the parent, so that there is no gateway to be named. */
export const isRouted = (network: Pick<Network, 'driver' | 'options'>): boolean =>
  network.driver === 'ipvlan' && subLinkMode('ipvlan', network) !== 'l2';

/** Refuses a range of addresses that does not fit together. Errors: invalid. */
export function checkRange({ subnet, gateway, range }: AddressRange): void {
  const bits = subnet.address.length * 8;
  if (subnet.prefix > bits - 2)
    throw new TareError(
      'invalid',
      `Cannot use subnet ${formatAddress(subnet.address)}/${subnet.prefix}: it has no room for a gateway and a container`,
    );
  if (!contains(subnet, gateway))
    throw new TareError(
      'invalid',
      `Cannot use gateway ${formatAddress(gateway)}: it is not in ${formatAddress(subnet.address)}/${subnet.prefix}`,
    );
  if (range.prefix < subnet.prefix || !contains(subnet, range.address))
    throw new TareError(
      'invalid',
      `Cannot use range ${formatAddress(range.address)}/${range.prefix}: it is not in ${formatAddress(subnet.address)}/${subnet.prefix}`,
    );
}

/** Reads a network's record. Errors: internal where it is none, unsupported from a newer Tare. */
export function parseNetwork(text: string, path: string): Network {
  let record: Partial<Network> | null;
  try {
    record = JSON.parse(text) as Partial<Network> | null;
  } catch (cause) {
    throw new TareError('internal', `Cannot read ${path}: not JSON`, { cause });
  }
  if (record?.version !== undefined && record.version !== 1)
    throw new TareError(
      'unsupported',
      `Cannot read ${path}: it has version ${String(record.version)}; use the Tare that wrote it`,
    );
  if (
    typeof record?.id !== 'string' ||
    typeof record.name !== 'string' ||
    typeof record.bridge !== 'string' ||
    !Array.isArray(record.subnets) ||
    record.subnets.length === 0
  )
    throw new TareError('internal', `Cannot read ${path}: it is no record of a network`);
  const network = record as Network;
  if (!networkDrivers.includes(network.driver))
    throw new TareError(
      'unsupported',
      `Cannot read ${path}: its driver is ${String(network.driver)}; use the Tare that wrote it`,
    );
  rangesOf(network).forEach(checkRange);
  return network;
}
