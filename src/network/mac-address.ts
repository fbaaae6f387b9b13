import { TareError } from '../base/errors.ts';
import type { IpAddress } from '../spec/ip.ts';
import { randomBytes } from '../sys/random-bytes.ts';

const OWN = 0x02;
const TARE = 0x74;

/**
 * The hardware address that belongs to an IP address: locally administered, and the same each time, so that nobody remembers a wrong one. Of IPv6 it has the last four bytes.
 */
export function macOf(address: IpAddress): Uint8Array {
  return Uint8Array.of(OWN, TARE, ...address.slice(-4));
}

/** One that nobody has: where a link of before may be there a moment longer, and no two may have the same. */
export function newMac(): Uint8Array {
  return Uint8Array.of(OWN, TARE, ...randomBytes(4));
}

/** Reads `02:74:0a:5a:00:02`. Errors: invalid, also for an address of many (multicast) and of none. */
export function parseMac(text: string): Uint8Array {
  const bytes = /^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i.test(text)
    ? Uint8Array.from(text.split(/[:-]/), (part) => Number.parseInt(part, 16))
    : undefined;
  if (bytes === undefined || ((bytes[0] ?? 1) & 1) === 1 || bytes.every((byte) => byte === 0))
    throw new TareError(
      'invalid',
      `Cannot use hardware address ${text}: expected six bytes, such as 02:74:0a:5a:00:02, of one link`,
    );
  return bytes;
}

export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}
