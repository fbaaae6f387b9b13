import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAddress, subnetOf } from '../spec/ip.ts';
import type { EgressList } from './egress.ts';
import type { EgressRules } from './egress-rules.ts';
import type { PortRule, Protocol } from './firewall.ts';
import { macOf } from './mac-address.ts';
import { attachmentsDir, formerDir, type NetworkPlaces } from './network-places.ts';

/** A container's place in one network. */
export interface Joined {
  /** Name and id of the network; "": it is somebody else's (CNI). */
  readonly network: string;
  readonly networkId: string;
  /** Name of the link in the container, and of its other end, which is a port of `bridge`. */
  readonly interface: string;
  readonly hostLink: string;
  readonly bridge: string;
  /** `02:74:0a:5a:00:02`. */
  readonly mac: string;
  readonly addresses: readonly {
    readonly address: string;
    readonly prefix: number;
    readonly gateway: string;
  }[];
  readonly aliases: readonly string[];
  /** No way out. */
  readonly internal: boolean;
  /** Its gateway is somebody else than this machine. */
  readonly external?: true;
}

/** One port as it was published; a port of both families is there twice. */
export interface Published {
  readonly protocol: Protocol;
  /** Absent: on all addresses of the family. */
  readonly hostAddress?: string;
  readonly hostPort: number;
  /** The container's. */
  readonly address: string;
  readonly port: number;
}

/** What a container has of networks. Written before anything of it is made: whoever is killed, the next one finds all that there may be. */
export interface Attachment {
  readonly version: 1;
  /** Networks that it may have leases of, also while it says no more. */
  readonly networkIds: readonly string[];
  readonly networks: readonly Joined[];
  readonly ports: readonly Published[];
  /** What it is called in every network, its own name first; absent: nobody finds it by name, nor does it find others. */
  readonly names?: readonly string[];
  /** Whom to ask for names that are not ours; absent: whom the machine asks. */
  readonly servers?: readonly string[];
  /** What it may reach; absent: whatever its networks lead to. */
  readonly egress?: EgressList;
  /** With it: who it is, as members of a JSON object without braces, for events about what it was refused. */
  readonly actor?: string;
}

const pathOf = (places: NetworkPlaces, container: string): string => join(attachmentsDir(places), container);
const formerPath = (places: NetworkPlaces, container: string): string => join(formerDir(places), container);

/** Replaces what is known of a container, at once. The caller has the lock. */
export function writeAttachment(places: NetworkPlaces, container: string, attachment: Attachment): void {
  // What a kill leaves here is written over the next time.
  const temp = join(places.run, 'new');
  writeFileSync(temp, JSON.stringify(attachment), { mode: 0o600 });
  renameSync(temp, pathOf(places, container));
}

/** Undefined: it has nothing of networks. */
export function readAttachment(places: NetworkPlaces, container: string): Attachment | undefined {
  return readFrom(pathOf(places, container));
}

/** What it had when it ran last: it gets its addresses again where they are free. */
export function formerAttachment(places: NetworkPlaces, container: string): Attachment | undefined {
  return readFrom(formerPath(places, container));
}

function readFrom(path: string): Attachment | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
  const attachment = JSON.parse(text) as Attachment;
  return attachment.version === 1 ? attachment : undefined;
}

/** Nothing of it is there any more. */
export function endAttachment(places: NetworkPlaces, container: string): void {
  renameSync(pathOf(places, container), formerPath(places, container));
}

/** Forgets a container. Idempotent. */
export function deleteAttachment(places: NetworkPlaces, container: string): void {
  rmSync(pathOf(places, container), { force: true });
  rmSync(formerPath(places, container), { force: true });
}

/** Containers that have something of networks. */
export function attachedContainers(places: NetworkPlaces): string[] {
  try {
    return readdirSync(attachmentsDir(places));
  } catch {
    return [];
  }
}

/** What a container may reach as the firewall has it; undefined: whatever its networks lead to. */
export function egressRules(container: string, { egress, networks }: Attachment): EgressRules | undefined {
  if (egress === undefined) return undefined;
  const links = networks.map(({ hostLink, addresses }) => ({
    link: hostLink,
    bridge: macOf(parseAddress(addresses[0]?.gateway ?? '')),
    addresses: addresses.map(({ address, prefix, gateway }) => ({
      own: parseAddress(address),
      subnet: subnetOf(parseAddress(address), prefix),
      gateway: parseAddress(gateway),
    })),
  }));
  return { container, list: egress, links };
}

/** A container's ports as the firewall has them. */
export function portRules(container: string, ports: readonly Published[]): PortRule[] {
  return ports.map(({ protocol, hostAddress, hostPort, address, port }) => ({
    container,
    protocol,
    ...(hostAddress === undefined ? {} : { hostAddress: parseAddress(hostAddress) }),
    hostPort,
    address: parseAddress(address),
    port,
  }));
}
