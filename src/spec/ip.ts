import { TareError } from '../base/errors.ts';

/** An IP address: 4 bytes or 16. */
export type IpAddress = Uint8Array;

/** Addresses with a common beginning of `prefix` bits; `address` is the first of them. */
export interface Subnet {
  readonly address: IpAddress;
  readonly prefix: number;
}

const invalid = (what: string, text: string, expected: string): TareError =>
  new TareError('invalid', `Cannot use ${what} ${JSON.stringify(text)}: expected ${expected}`);

/** Reads `10.88.0.1` or `fd00::1`, undefined for anything else: no zone, no leading zeros, no short forms of IPv4. */
export function readAddress(text: string): IpAddress | undefined {
  return text.includes(':') ? readV6(text) : readV4(text);
}

/** As `readAddress`. Errors: invalid; `what` names where it stands. */
export function parseAddress(text: string, what = 'address'): IpAddress {
  const address = readAddress(text);
  if (address === undefined) throw invalid(what, text, 'an IPv4 or IPv6 address');
  return address;
}

function readV4(text: string): IpAddress | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined;
  return Uint8Array.from(parts, Number);
}

function readV6(text: string): IpAddress | undefined {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted !== null) {
    const [a = 0, b = 0, c = 0, d = 0] = readV4(dotted[2] ?? '') ?? [];
    if (readV4(dotted[2] ?? '') === undefined) return undefined;
    return readV6(`${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`);
  }
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [left = [], right = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const groups = [...left, ...right];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  if (halves.length === 1 ? groups.length !== 8 : groups.length > 7) return undefined;
  const all = [...left, ...Array<string>(8 - groups.length).fill('0'), ...right];
  return Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]));
}

/** As RFC 5952 writes it. */
export function formatAddress(address: IpAddress): string {
  if (address.length === 4) return address.join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((address[2 * i] ?? 0) << 8) | (address[2 * i + 1] ?? 0)).toString(16),
  );
  const text = groups.join(':');
  const [longest] = [...text.matchAll(/(?<=^|:)0(?::0)+(?=:|$)/g)].sort((a, b) => b[0].length - a[0].length);
  if (longest === undefined) return text;
  const before = text.slice(0, longest.index).replace(/:$/, '');
  const after = text.slice(longest.index + longest[0].length).replace(/^:/, '');
  return `${before}::${after}`;
}

export const isV6 = (address: IpAddress): boolean => address.length === 16;

/** As a number, to count with. */
export function numberOfAddress(address: IpAddress): bigint {
  return address.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** The address of that number among those of `bytes` bytes. */
export function addressOfNumber(number: bigint, bytes: number): IpAddress {
  const address = new Uint8Array(bytes);
  for (let at = bytes - 1; at >= 0; at--, number >>= 8n) address[at] = Number(number & 255n);
  return address;
}

/** `10.88.0.0/16`; bits behind the prefix are cleared. Errors: invalid; `what` names where it stands. */
export function parseSubnet(text: string, what = 'subnet'): Subnet {
  const slash = text.lastIndexOf('/');
  const address = slash < 0 ? undefined : readAddress(text.slice(0, slash));
  const prefix = text.slice(slash + 1);
  if (address === undefined || !/^(0|[1-9]\d{0,2})$/.test(prefix) || Number(prefix) > address.length * 8)
    throw invalid(what, text, 'ADDRESS/PREFIX, such as 10.90.0.0/16');
  return subnetOf(address, Number(prefix));
}

/** The subnet in which an address is. */
export function subnetOf(address: IpAddress, prefix: number): Subnet {
  const host = BigInt(address.length * 8 - prefix);
  return { address: addressOfNumber((numberOfAddress(address) >> host) << host, address.length), prefix };
}

export function formatSubnet({ address, prefix }: Subnet): string {
  return `${formatAddress(address)}/${prefix}`;
}

/** Its first and its last address, as numbers. */
export function boundsOf({ address, prefix }: Subnet): readonly [first: bigint, last: bigint] {
  const first = numberOfAddress(address);
  return [first, first + (1n << BigInt(address.length * 8 - prefix)) - 1n];
}

export function contains(subnet: Subnet, address: IpAddress): boolean {
  const [first, last] = boundsOf(subnet);
  const number = numberOfAddress(address);
  return address.length === subnet.address.length && number >= first && number <= last;
}

/** Whether they have an address in common. */
export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.prefix <= b.prefix ? contains(a, b.address) : contains(b, a.address);
}
