import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isKind } from '../base/errors.ts';
import { ifPresent } from '../base/if-present.ts';
import { type Attachment, attachedContainers, type Joined, readAttachment, writeAttachment } from './attachment.ts';
import { encodeContainer, encodeTable, type NamedContainer, splitTable } from './name-table.ts';
import { lockNetworks, namesDir, type NetworkPlaces } from './network-places.ts';
import { DEFAULT_NETWORK } from './networks.ts';
import { isServed, pokeResolver, tellResolver } from './resolver.ts';

/** Whether a container asks our resolver: where there are names, or where it may ask only for some. */
export const isAsked = ({ names, egress, networks }: Attachment): boolean =>
  (names !== undefined && networks.some(isNamed)) || (egress !== undefined && networks.length > 0);

/** Whether containers find each other by name there: not on the default network, as docker has it, nor where this machine has no address to be asked at, nor in somebody else's. */
export const isNamed = ({
  network,
  networkId,
  external,
}: Pick<Joined, 'network' | 'networkId' | 'external'>): boolean =>
  network !== DEFAULT_NETWORK && networkId !== '' && external !== true;

const tablePath = (places: NetworkPlaces): string => join(namesDir(places), 'table');

/**
 * Makes a container's names known, and what it is told of others; the caller has the lock. Returns what is in the way of it, network by network: nothing when its names hold from now on.
 */
export async function publishNames(
  places: NetworkPlaces,
  container: string,
  attachment: Attachment,
): Promise<ReadonlyMap<string, string>> {
  if (!isAsked(attachment)) {
    withdrawNames(places, container);
    return new Map();
  }
  const sections = readSections(places) ?? liveSections(places);
  sections.set(container, encodeContainer(namedContainer(container, attachment)));
  writeTable(places, sections);
  return obstacles(
    places,
    attachment.networks.filter((one) => attachment.egress !== undefined || isNamed(one)),
  );
}

/** Forgets a container's names. Idempotent; the caller has the lock. With the last one the resolver ends. */
export function withdrawNames(places: NetworkPlaces, container: string): void {
  const sections = readSections(places);
  if (sections?.delete(container) !== true) return;
  writeTable(places, sections);
  pokeResolver(places);
}

/** Makes the table again from what lives, and the resolver when it is gone; the caller has the lock. */
export async function rebuildNames(places: NetworkPlaces, patienceMs?: number): Promise<void> {
  const sections = liveSections(places);
  writeTable(places, sections);
  if (sections.size > 0) await tellResolver(places, patienceMs);
  else pokeResolver(places);
}

/** Gives a container that is in networks other names, from now on. */
export async function renameAttached(
  places: NetworkPlaces,
  container: string,
  names: readonly string[],
  actor?: string,
): Promise<void> {
  using _lock = await lockNetworks(places);
  const attachment = readAttachment(places, container);
  if (attachment?.names === undefined) return;
  const renamed = { ...attachment, names, ...(actor === undefined ? {} : { actor }) };
  writeAttachment(places, container, renamed);
  await publishNames(places, container, renamed);
}

/** Whether there are names, and nobody who answers: it was killed. */
function lacksResolver(places: NetworkPlaces): boolean {
  return !isServed(places) && ifPresent(() => readFileSync(tablePath(places))) !== undefined;
}

/** Brings back a resolver that was killed; one that cannot live is not waited for. Costs two looks when there is nothing to do. */
export async function reviveNames(places: NetworkPlaces): Promise<void> {
  using _lock = await lockNetworks(places);
  // Of two who found it missing, one does it.
  if (lacksResolver(places)) await rebuildNames(places, 0);
}

function namedContainer(id: string, { networks, names = [], servers, egress, actor }: Attachment): NamedContainer {
  return {
    id,
    relays: networks.some(({ internal }) => !internal),
    ...(servers === undefined ? {} : { servers }),
    ...(egress === undefined ? {} : { domains: egress.domains, ...(actor === undefined ? {} : { actor }) }),
    places: networks.map((place) => {
      const { network, bridge, addresses, aliases } = place;
      if (!isNamed(place)) return { bridge, named: false, addresses, names: [] };
      const own = [...names, ...aliases].map((name) => name.toLowerCase());
      // As docker has it, NAME.NETWORK is one of them.
      const all = [...own, ...own.map((name) => `${name}.${network.toLowerCase()}`)];
      return { bridge, named: true, addresses, names: [...new Set(all)] };
    }),
  };
}

/** What is known now; undefined without a table, and for one of another Tare. */
function readSections(places: NetworkPlaces): Map<string, Buffer> | undefined {
  const table = ifPresent(() => readFileSync(tablePath(places)));
  if (table === undefined) return undefined;
  try {
    return splitTable(table);
  } catch (error) {
    if (isKind(error, 'invalid')) return undefined;
    throw error;
  }
}

/** What should be known: the same, from what containers have of networks. */
function liveSections(places: NetworkPlaces): Map<string, Buffer> {
  const sections = new Map<string, Buffer>();
  for (const container of attachedContainers(places)) {
    const attachment = readAttachment(places, container);
    if (attachment !== undefined && isAsked(attachment) && places.isAlive(container))
      sections.set(container, encodeContainer(namedContainer(container, attachment)));
  }
  return sections;
}

/** Replaces it at once. Without anybody in it there is none: that ends the resolver. */
function writeTable(places: NetworkPlaces, sections: ReadonlyMap<string, Buffer>): void {
  if (sections.size === 0) return rmSync(tablePath(places), { force: true });
  const dir = namesDir(places);
  // The resolver is nobody in particular: its own directory and table it can read.
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const temp = join(places.run, 'new-names');
  writeFileSync(temp, encodeTable(places.nameservers?.() ?? [], sections), { mode: 0o644 });
  renameSync(temp, tablePath(places));
}

async function obstacles(places: NetworkPlaces, named: readonly Joined[]): Promise<ReadonlyMap<string, string>> {
  try {
    const unserved = await tellResolver(places);
    return new Map(
      named.flatMap(({ network, bridge }) => {
        const why = unserved.get(bridge);
        return why === undefined ? [] : [[network, why]];
      }),
    );
  } catch (error) {
    const { message } = error as Error;
    return new Map(named.map(({ network }) => [network, message]));
  }
}
