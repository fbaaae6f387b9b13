import type { PortWish } from '../network/attach.ts';
import { type Attachment, type Published, readAttachment } from '../network/attachment.ts';
import { cniJoined } from './cni/joined.ts';
import { isCniNetwork } from './cni/cni-names.ts';
import type { Engine } from './engine.ts';
import { networkHolder } from './holds-networks.ts';
import { type ContainerSummary, isUp, summarize } from './list.ts';
import { networkPlaces } from './network-ground.ts';
import { type ContainerRecord, findRecord } from './record.ts';

/** Docker's port map: `80/tcp` to where it is reached. */
export type PortMap = Record<string, { HostIp: string; HostPort: string }[]>;

/** The ports a container publishes while it is up. */
export function publishedPorts(engine: Engine, id: string): readonly Published[] {
  if (!isThere(summarize(engine, id))) return [];
  const record = findRecord(engine, id);
  const holder = record === undefined ? undefined : findRecord(engine, networkHolder(record));
  return holder === undefined ? [] : (attachmentOf(engine, holder)?.ports ?? []);
}

/** What a container has of networks, those of CNI plugins included. */
function attachmentOf(engine: Engine, record: ContainerRecord): Attachment | undefined {
  if (record.net?.pasta !== undefined) return { ...nothing, ports: pastaPorts(record.net.ports) };
  const ours = readAttachment(networkPlaces(engine), record.id);
  if (record.net?.join.some(({ network }) => isCniNetwork(network)) !== true) return ours;
  const { networks, ports } = cniJoined(engine, record);
  return {
    version: 1,
    networkIds: ours?.networkIds ?? [],
    networks: [...(ours?.networks ?? []), ...networks],
    ports: [...(ours?.ports ?? []), ...ports],
  };
}

const nothing: Attachment = { version: 1, networkIds: [], networks: [], ports: [] };

/** Its pasta publishes them, and the container has no address that others know. */
function pastaPorts(ports: readonly PortWish[]): Published[] {
  return ports.map((port) => ({ ...port, address: port.hostAddress?.includes(':') === true ? '::' : '0.0.0.0' }));
}

/** Where a port is reached, by `80/tcp`. */
export function portMap(ports: readonly Published[]): PortMap {
  const map: PortMap = {};
  for (const { protocol, hostAddress, hostPort, address, port } of ports)
    (map[`${port}/${protocol}`] ??= []).push({
      HostIp: hostAddress ?? (address.includes(':') ? '::' : '0.0.0.0'),
      HostPort: String(hostPort),
    });
  return map;
}

/** One that has ended may have its addresses until somebody takes them back: they are of no use. */
function isThere(container: ContainerSummary | undefined): boolean {
  return container !== undefined && (isUp(container) || container.state === 'initialized');
}

/** What inspect shows of a container's networks, in the shape of docker's. */
export function networkSettings(engine: Engine, record: ContainerRecord, summary: ContainerSummary): object {
  const attachment = isThere(summary) ? attachmentOf(engine, record) : undefined;
  const wished = record.net?.join ?? [];
  const networks = Object.fromEntries(
    wished.map(({ network, aliases = [] }) => {
      const joined = attachment?.networks.find((one) => one.network === network);
      const of = (v6: boolean): { address: string; prefix: number; gateway: string } | undefined =>
        joined?.addresses.find(({ address }) => address.includes(':') === v6);
      const [v4, v6] = [of(false), of(true)];
      return [
        network,
        {
          IPAMConfig: null,
          Aliases: aliases,
          NetworkID: joined?.networkId ?? '',
          EndpointID: '',
          Gateway: v4?.gateway ?? '',
          IPAddress: v4?.address ?? '',
          IPPrefixLen: v4?.prefix ?? 0,
          IPv6Gateway: v6?.gateway ?? '',
          GlobalIPv6Address: v6?.address ?? '',
          GlobalIPv6PrefixLen: v6?.prefix ?? 0,
          MacAddress: joined?.mac ?? '',
        },
      ];
    }),
  );
  const first = networks[wished[0]?.network ?? ''];
  return {
    Ports: portMap(attachment?.ports ?? []),
    IPAddress: first?.IPAddress ?? '',
    IPPrefixLen: first?.IPPrefixLen ?? 0,
    Gateway: first?.Gateway ?? '',
    GlobalIPv6Address: first?.GlobalIPv6Address ?? '',
    MacAddress: first?.MacAddress ?? '',
    Networks: networks,
  };
}

/** Where this machine reaches a TCP port of a container; undefined: nowhere. */
export function networkPlaceOf(
  engine: Engine,
  record: ContainerRecord,
  port: number,
): { readonly host: string; readonly port: number } | undefined {
  if (record.network === 'host') return { host: '127.0.0.1', port };
  const attachment = attachmentOf(engine, record);
  const all = attachment?.ports.filter((one) => one.port === port && one.protocol === 'tcp') ?? [];
  const published = all.find(({ address }) => !address.includes(':')) ?? all[0];
  if (published !== undefined) {
    const { hostAddress, hostPort, address } = published;
    if (hostAddress !== undefined) return { host: hostAddress, port: hostPort };
    if (!address.includes(':')) return { host: '127.0.0.1', port: hostPort };
    // Rules do not lead by ::1; a forwarder does.
    return engine.rootless === undefined ? { host: address, port } : { host: '::1', port: hostPort };
  }
  // A user's networks are in a namespace of their own.
  if (engine.rootless !== undefined) return undefined;
  const own = attachment?.networks.find(({ external }) => external !== true)?.addresses[0]?.address;
  return own === undefined ? undefined : { host: own, port };
}
