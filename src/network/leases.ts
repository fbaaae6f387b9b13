import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import {
  addressOfNumber,
  boundsOf,
  contains,
  formatAddress,
  formatSubnet,
  isV6,
  numberOfAddress,
  readAddress,
  type IpAddress,
} from '../spec/ip.ts';
import { type AddressRange } from './network.ts';
import { leasesDir, type NetworkPlaces } from './network-places.ts';

/** The last address that was given, so that one that became free rests a while: others may remember whose it was. */
const LAST = '.last';

/**
 * Gives a container an address of a range. A lease is a symbolic link `ADDRESS → CONTAINER`: symlink(2) decides, so that no address is given twice, whoever is killed when. `wanted` is taken or
 * refused, `liked` taken where it is free. `collect` frees what a dead container has.
 *
 * Errors: already-exists for a wanted one that another container has; exhausted; invalid for one that is not in the subnet.
 */
export function lease(
  places: NetworkPlaces,
  networkId: string,
  range: AddressRange,
  container: string,
  how: {
    readonly wanted?: IpAddress;
    readonly liked?: IpAddress;
    /** Addresses of others, not to be given. */
    readonly foreign?: ReadonlySet<string>;
    readonly collect: (container: string) => void;
  },
): IpAddress {
  const dir = leasesDir(places, networkId);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const take = (address: IpAddress): boolean => {
    if (how.foreign?.has(formatAddress(address)) === true) return false;
    try {
      symlinkSync(container, join(dir, formatAddress(address)));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      return false;
    }
  };
  /** True: it was a dead one's, and is free. */
  const collect = (address: string): boolean => {
    const holder = holderOf(dir, address);
    if (holder === undefined) return true;
    if (holder === container || places.isAlive(holder)) return false;
    how.collect(holder);
    rmSync(join(dir, address), { force: true });
    return true;
  };
  if (how.wanted !== undefined) {
    checkUsable(range, how.wanted);
    const text = formatAddress(how.wanted);
    if (how.foreign?.has(text) === true)
      throw new TareError('already-exists', `Cannot give address ${text}: it is the machine's own`);
    if (take(how.wanted) || (collect(text) && take(how.wanted))) return how.wanted;
    throw new TareError(
      'already-exists',
      `Cannot give address ${text}: container ${(holderOf(dir, text) ?? '').slice(0, 12)} has it`,
    );
  }
  if (how.liked !== undefined && contains(range.range, how.liked) && isUsable(range, how.liked) && take(how.liked))
    return how.liked;
  const last = join(dir, `${LAST}${isV6(range.subnet.address) ? 6 : 4}`);
  let address = next(range, readLast(last), take, dir);
  if (address === undefined) {
    const freed = namesIn(dir).filter((name) => readAddress(name) !== undefined && collect(name));
    if (freed.length > 0) address = next(range, undefined, take, dir);
  }
  if (address === undefined)
    throw new TareError(
      'exhausted',
      `Cannot give an address of ${formatSubnet(range.range)}: each is a container's; remove some, or make a larger network`,
    );
  writeFileSync(last, formatAddress(address), { mode: 0o600 });
  return address;
}

/** Gives back the addresses that a container has of a network. Idempotent. */
export function releaseLeases(places: NetworkPlaces, networkId: string, container: string): void {
  const dir = leasesDir(places, networkId);
  for (const name of namesIn(dir)) if (holderOf(dir, name) === container) unlinkSync(join(dir, name));
}

/** Who has an address of a network, by address. */
export function leases(places: NetworkPlaces, networkId: string): Map<string, string> {
  const dir = leasesDir(places, networkId);
  const found = new Map<string, string>();
  for (const name of namesIn(dir)) {
    const holder = readAddress(name) === undefined ? undefined : holderOf(dir, name);
    if (holder !== undefined) found.set(name, holder);
  }
  return found;
}

function holderOf(dir: string, address: string): string | undefined {
  try {
    return readlinkSync(join(dir, address));
  } catch {
    return undefined;
  }
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function readLast(path: string): IpAddress | undefined {
  try {
    return readAddress(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** Not the gateway's, and of IPv4 neither the first nor the last of the subnet; of IPv6 not the first (RFC 4291: any router). */
function isUsable({ subnet, gateway }: AddressRange, address: IpAddress): boolean {
  const [first, last] = boundsOf(subnet);
  const number = numberOfAddress(address);
  return (
    contains(subnet, address) &&
    number !== first &&
    (isV6(address) || number !== last) &&
    number !== numberOfAddress(gateway)
  );
}

function checkUsable(range: AddressRange, address: IpAddress): void {
  if (isUsable(range, address)) return;
  const why = contains(range.subnet, address)
    ? 'no container can have it'
    : `it is not in ${formatSubnet(range.subnet)}`;
  throw new TareError('invalid', `Cannot give address ${formatAddress(address)}: ${why}`);
}

/** Addresses looked at one by one before all that are taken are read. */
const FIRST_TRIES = 4;
/** More containers than that no machine has. */
const MAX_TRIES = 1 << 20;

/** The first one after `last` that can be had, from the beginning again after the end. */
function next(
  range: AddressRange,
  last: IpAddress | undefined,
  take: (address: IpAddress) => boolean,
  dir: string,
): IpAddress | undefined {
  const [low, high] = boundsOf(range.range);
  const count = high - low + 1n;
  const start = last !== undefined && contains(range.range, last) ? numberOfAddress(last) + 1n - low : 0n;
  let taken: ReadonlySet<string> | undefined;
  for (let step = 0n; step < count && step < MAX_TRIES; step++) {
    const address = addressOfNumber(low + ((start + step) % count), range.subnet.address.length);
    if (!isUsable(range, address)) continue;
    if (step === BigInt(FIRST_TRIES)) taken = new Set(namesIn(dir));
    if (taken?.has(formatAddress(address)) === true) continue;
    if (take(address)) return address;
  }
  return undefined;
}
