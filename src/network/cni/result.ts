import { readAddress } from '../../spec/ip.ts';
import { asCount, asList, asObject, asText, type JsonObject, unexpected } from './json.ts';
import { type CniVersion, isAtLeast } from './spec-version.ts';

/** What an ADD made (CNI 1.1, section 5), of whichever version it was said in. */
export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniAddress[];
  readonly routes: readonly CniRoute[];
  readonly dns: CniDns;
}

export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  /** Path of the network namespace it is in; absent: the machine's. */
  readonly sandbox?: string;
}

export interface CniAddress {
  /** `10.1.0.2/16`. */
  readonly address: string;
  readonly gateway?: string;
  /** Which of `interfaces` has it. */
  readonly interface?: number;
}

export interface CniRoute {
  readonly dst: string;
  readonly gw?: string;
}

export interface CniDns {
  readonly nameservers: readonly string[];
  readonly domain?: string;
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** More than any container has. */
const MAX_ENTRIES = 1024;

/** Reads what a plugin printed for ADD. Errors: JsonProblem, naming the place. */
export function parseResult(raw: JsonObject, version: CniVersion): CniResult {
  const dns = dnsOf(raw['dns']);
  if (!isAtLeast(version, '0.3.0')) return { ...firstResult(raw), dns };
  const interfaces = asList(raw['interfaces'], 'interfaces', MAX_ENTRIES).map(interfaceOf);
  const ips = asList(raw['ips'], 'ips', MAX_ENTRIES).map((value, at) => addressOf(value, `ips[${at}]`));
  ips.forEach((ip, at) => {
    if (ip.interface !== undefined && ip.interface >= interfaces.length)
      throw unexpected(`ips[${at}].interface`, `one of ${interfaces.length} interfaces`);
  });
  return { interfaces, ips, routes: routesOf(raw['routes'], 'routes'), dns };
}

/** Specifications 0.1 and 0.2: an address of each family at most, and no interfaces. */
function firstResult(raw: JsonObject): Pick<CniResult, 'interfaces' | 'ips' | 'routes'> {
  const given = (['ip4', 'ip6'] as const).flatMap((key) =>
    raw[key] === undefined || raw[key] === null ? [] : [[key, asObject(raw[key], key)] as const],
  );
  return {
    interfaces: [],
    ips: given.map(([key, { ip, gateway }]) => addressOf({ address: ip, gateway }, key)),
    routes: given.flatMap(([key, { routes }]) => routesOf(routes, `${key}.routes`)),
  };
}

function interfaceOf(value: unknown, at: number): CniInterface {
  const where = `interfaces[${at}]`;
  const raw = asObject(value, where);
  const mac = asText(raw['mac'], `${where}.mac`);
  const mtu = asCount(raw['mtu'], `${where}.mtu`);
  const sandbox = asText(raw['sandbox'], `${where}.sandbox`);
  return {
    name: asText(raw['name'], `${where}.name`) ?? '',
    ...(mac === undefined ? {} : { mac }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(sandbox === undefined ? {} : { sandbox }),
  };
}

function addressOf(value: unknown, where: string): CniAddress {
  const raw = asObject(value, where);
  const gateway = ipOf(raw['gateway'], `${where}.gateway`);
  const index = asCount(raw['interface'], `${where}.interface`);
  return {
    address: prefixed(raw['address'], `${where}.address`),
    ...(gateway === undefined ? {} : { gateway }),
    ...(index === undefined ? {} : { interface: index }),
  };
}

function routesOf(value: unknown, where: string): CniRoute[] {
  return asList(value, where, MAX_ENTRIES).map((one, at) => {
    const raw = asObject(one, `${where}[${at}]`);
    const gw = ipOf(raw['gw'], `${where}[${at}].gw`);
    return { dst: prefixed(raw['dst'], `${where}[${at}].dst`), ...(gw === undefined ? {} : { gw }) };
  });
}

function dnsOf(value: unknown): CniDns {
  const raw = value === undefined || value === null ? {} : asObject(value, 'dns');
  const domain = word(raw['domain'], 'dns.domain');
  const words = (key: string): string[] =>
    asList(raw[key], `dns.${key}`, MAX_ENTRIES).flatMap((one, at) => word(one, `dns.${key}[${at}]`) ?? []);
  return {
    nameservers: asList(raw['nameservers'], 'dns.nameservers', MAX_ENTRIES).flatMap(
      (one, at) => ipOf(one, `dns.nameservers[${at}]`) ?? [],
    ),
    ...(domain === undefined ? {} : { domain }),
    search: words('search'),
    options: words('options'),
  };
}

/** It goes into resolv.conf. */
function word(value: unknown, where: string): string | undefined {
  const text = asText(value, where);
  if (text !== undefined && !/^[^\s#;]+$/.test(text)) throw unexpected(where, 'one word');
  return text;
}

function ipOf(value: unknown, where: string): string | undefined {
  const text = asText(value, where);
  if (text !== undefined && readAddress(text) === undefined) throw unexpected(where, 'an address');
  return text;
}

function prefixed(value: unknown, where: string): string {
  const text = asText(value, where) ?? '';
  const slash = text.lastIndexOf('/');
  const address = readAddress(text.slice(0, Math.max(0, slash)));
  const prefix = text.slice(slash + 1);
  if (address === undefined || !/^\d{1,3}$/.test(prefix) || Number(prefix) > address.length * 8)
    throw unexpected(where, 'ADDRESS/PREFIX');
  return text;
}
