import { TareError } from '../base/errors.ts';
import { formatSubnet, parseSubnet, readAddress, type Subnet, subnetOf } from '../spec/ip.ts';

/** What a container may reach; nothing else. */
export interface EgressList {
  readonly addresses: readonly AllowedAddresses[];
  readonly domains: readonly AllowedDomain[];
}

export interface AllowedAddresses {
  /** `192.0.2.0/24`. */
  readonly subnet: string;
  /** TCP and UDP; absent: everything. */
  readonly port?: number;
}

export interface AllowedDomain {
  /** In lower case, without a dot at its end. */
  readonly name: string;
  /** Not itself, but every name that ends with a dot and it. */
  readonly below: boolean;
  readonly port?: number;
}

const DOMAIN = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;
/** Each is a rule that every connection is compared with. */
const MAX_ITEMS = 500;
const MAX_PORT = 65_535;

/**
 * Reads `none`, or `allow=ITEM,...`, several of which add up. An item is DOMAIN, *.DOMAIN, an address or ADDRESS/BITS, with :PORT behind it; IPv6 with a port stands in brackets.
 *
 * Errors: invalid, naming the item.
 */
export function parseEgress(words: readonly string[]): EgressList {
  const addresses: AllowedAddresses[] = [];
  const domains: AllowedDomain[] = [];
  for (const word of words) {
    if (word === 'none' && words.length === 1) continue;
    if (!word.startsWith('allow='))
      throw new TareError(
        'invalid',
        `Cannot use --egress ${word}: expected none, or allow=DOMAIN[:PORT],ADDRESS[/BITS][:PORT],...`,
      );
    for (const item of word.slice('allow='.length).split(',')) {
      const { host, port } = splitPort(item);
      const subnet = readRange(host);
      const more = port === undefined ? {} : { port };
      const below = host.startsWith('*.');
      const name = host
        .slice(below ? 2 : 0)
        .toLowerCase()
        .replace(/\.$/, '');
      if (subnet !== undefined) addresses.push({ subnet: formatSubnet(subnet), ...more });
      else if (DOMAIN.test(name) && !/^[\d.]+$/.test(name)) domains.push({ name, below, ...more });
      else
        throw new TareError(
          'invalid',
          `Cannot use --egress allow=${item}: expected DOMAIN, *.DOMAIN, ADDRESS or ADDRESS/BITS, with :PORT; [ADDRESS]:PORT for IPv6`,
        );
    }
  }
  if (addresses.length + domains.length > MAX_ITEMS)
    throw new TareError(
      'invalid',
      `Cannot use --egress: ${addresses.length + domains.length} items, at most ${MAX_ITEMS}`,
    );
  return { addresses, domains };
}

/** As it was asked for. */
export function formatEgress({ addresses, domains }: EgressList): string {
  const port = (item: { readonly port?: number }): string => (item.port === undefined ? '' : `:${item.port}`);
  const items = [
    ...domains.map((one) => `${one.below ? '*.' : ''}${one.name}${port(one)}`),
    ...addresses.map((one) => {
      const text = one.subnet.replace(/^([^:]*)\/32$|^(.*:.*)\/128$/, '$1$2');
      return `${text.includes(':') && one.port !== undefined ? `[${text}]` : text}${port(one)}`;
    }),
  ];
  return items.length === 0 ? 'none' : `allow=${items.join(',')}`;
}

function splitPort(item: string): { host: string; port?: number } {
  const bracketed = /^\[(.*)\](?::(\d{1,5}))?$/.exec(item);
  const plain = /^([^:]*):(\d{1,5})$/.exec(item);
  const [, host, port] = bracketed ?? plain ?? [undefined, item];
  if (port === undefined) return { host: host ?? '' };
  if (Number(port) < 1 || Number(port) > MAX_PORT)
    throw new TareError('invalid', `Cannot use --egress allow=${item}: a port is 1 to ${MAX_PORT}`);
  return { host: host ?? '', port: Number(port) };
}

function readRange(host: string): Subnet | undefined {
  const address = readAddress(host);
  if (address !== undefined) return { address, prefix: address.length * 8 };
  const [of = '', prefix = ''] = host.split('/');
  const first = readAddress(of);
  if (first === undefined || !/^\d{1,3}$/.test(prefix) || Number(prefix) > first.length * 8) return undefined;
  return subnetOf(first, Number(prefix));
}

/** A range of the list, ready to be compared with. */
export const rangeOf = ({ subnet }: AllowedAddresses): Subnet => parseSubnet(subnet);
