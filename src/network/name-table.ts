import { TareError } from '../base/errors.ts';
import { parseAddress } from '../spec/ip.ts';
import type { AllowedDomain } from './egress.ts';

/** A container as the resolver knows it. */
export interface NamedContainer {
  readonly id: string;
  /** Names that we do not know are asked of others. */
  readonly relays: boolean;
  /** Whom to ask for them, three at most; absent: the machine's. */
  readonly servers?: readonly string[];
  /** The only names that others are asked for; absent: all. */
  readonly domains?: readonly AllowedDomain[];
  /** With them: members of a JSON object, without braces, that say in an event who was refused something. */
  readonly actor?: string;
  readonly places: readonly NamedPlace[];
}

/** What it is called in one network. */
export interface NamedPlace {
  readonly bridge: string;
  /** False: it finds nobody there by name, but may ask for others. */
  readonly named: boolean;
  /** One of each family at most. */
  readonly addresses: readonly { readonly address: string; readonly prefix: number; readonly gateway: string }[];
  /** In lower case; the first is what its address is called. */
  readonly names: readonly string[];
}

/** Containers by id, each as the bytes of its section. */
export type Sections = ReadonlyMap<string, Buffer>;

/** "TARN". A resolver that reads another version ends, and makes room for one that knows it. */
const MAGIC = 0x4e52_4154;
const VERSION = 2;
const HEADER_BYTES = 16;
/** resolv.conf(5) takes no more. */
export const MAX_SERVERS = 3;
/** The longest name that DNS can carry, as text. */
const MAX_NAME = 253;
const MAX_BYTES = 64 * 1024 * 1024;
const RELAYS = 1;
const OWN_SERVERS = 2;
const LIMITED = 4;
const BELOW = 1;
const NAMED = 1;

const number16 = (number: number): Buffer => Buffer.from([number & 255, number >> 8]);
const number32 = (number: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(number);
  return bytes;
};
const text = (word: string): Buffer => {
  const bytes = Buffer.from(word);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
};
const longText = (words: string): Buffer => {
  const bytes = Buffer.from(words);
  return Buffer.concat([number16(bytes.length), bytes]);
};
const address = (word: string): Buffer => {
  const bytes = parseAddress(word);
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
};
const serverList = (servers: readonly string[]): Buffer => {
  const some = servers.slice(0, MAX_SERVERS);
  return Buffer.concat([Buffer.of(some.length), ...some.map(address)]);
};

/** A container's section of the table. Errors: invalid for an address that is none. */
export function encodeContainer({ id, relays, servers, domains, actor = '', places }: NamedContainer): Buffer {
  const flags =
    (relays ? RELAYS : 0) | (servers === undefined ? 0 : OWN_SERVERS) | (domains === undefined ? 0 : LIMITED);
  const body = Buffer.concat([
    text(id),
    Buffer.of(flags),
    ...(servers === undefined ? [] : [serverList(servers)]),
    ...(domains === undefined ? [] : [number16(domains.length), ...domains.map(domain), longText(actor)]),
    number16(places.length),
    ...places.flatMap(encodePlace),
  ]);
  return Buffer.concat([number32(body.length), body]);
}

const domain = ({ name, below, port = 0 }: AllowedDomain): Buffer =>
  Buffer.concat([Buffer.of(below ? BELOW : 0), number16(port), text(name)]);

function encodePlace({ bridge, named, addresses, names }: NamedPlace): Buffer[] {
  const usable = names.filter((name) => Buffer.byteLength(name) <= MAX_NAME);
  return [
    text(bridge),
    Buffer.of(named ? NAMED : 0, addresses.length),
    ...addresses.flatMap((one) => [address(one.address), address(one.gateway), Buffer.of(one.prefix)]),
    number16(usable.length),
    ...usable.map(text),
  ];
}

/** The table of these containers; `servers` are the machine's. */
export function encodeTable(servers: readonly string[], sections: Sections): Buffer {
  const body = Buffer.concat([serverList(servers), ...sections.values()]);
  return Buffer.concat([
    number32(MAGIC),
    number32(VERSION),
    number32(HEADER_BYTES + body.length),
    number32(sections.size),
    body,
  ]);
}

/** The sections of a table. Errors: invalid for what is no table of this version. */
export function splitTable(table: Buffer): Map<string, Buffer> {
  const wrong = (what: string): TareError => new TareError('invalid', `Cannot read the table of names: ${what}`);
  if (table.length < HEADER_BYTES + 1 || table.length > MAX_BYTES) throw wrong(`it has ${table.length} bytes`);
  if (table.readUInt32LE(0) !== MAGIC || table.readUInt32LE(4) !== VERSION) throw wrong('it is of another version');
  const sections = new Map<string, Buffer>();
  let at = HEADER_BYTES + 1;
  for (let left = table.readUInt8(HEADER_BYTES); left > 0; left--) at += 1 + (table[at] ?? 0);
  for (let left = table.readUInt32LE(12); left > 0; left--) {
    const end = at + 4 + (at + 4 <= table.length ? table.readUInt32LE(at) : table.length);
    const idEnd = at + 5 + (table[at + 4] ?? 0);
    if (end > table.length || idEnd > end) throw wrong('it is cut short');
    sections.set(table.toString('utf8', at + 5, idEnd), table.subarray(at, end));
    at = end;
  }
  if (at !== table.length) throw wrong('something follows it');
  return sections;
}
