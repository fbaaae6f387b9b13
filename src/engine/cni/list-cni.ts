import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { TareError } from '../../base/errors.ts';
import { containersWithAttachments, type CniAttachment, attachmentsOf } from '../../network/cni/attachments.ts';
import type { CniNetwork } from '../../network/cni/cni-network.ts';
import { findCniNetwork, readCniConfDir } from '../../network/cni/conf-dir.ts';
import { capabilitiesOf } from '../../network/cni/plugin-config.ts';
import { formatSubnet, parseSubnet } from '../../spec/ip.ts';
import type { Engine } from '../engine.ts';
import { findRecord } from '../record.ts';
import { cniGround } from './cni-ground.ts';
import { cniName, networkOfCni } from './cni-names.ts';
import { cniJoined } from './joined.ts';

/** A network of CNI plugins, as `network ls` shows it. */
export interface ListedCni {
  /** Of its name: a configuration has none. */
  readonly id: string;
  /** `cni:NAME`. */
  readonly name: string;
  readonly driver: 'cni';
  /** When its file was changed last; RFC 3339. */
  readonly createdAt: string;
  /** As far as host-local's configuration says. */
  readonly subnets: readonly { readonly subnet: string; readonly gateway?: string }[];
  readonly internal: false;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
}

/** The CNI networks of the machine, by name; what is no configuration is left out. */
export function listCni(engine: Engine): ListedCni[] {
  return readCniConfDir(cniGround(engine).confDir)
    .networks.map(listed)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** One and who is in it, in the shape docker prints. `network` is `cni:NAME`. Errors: not-found. */
export function inspectCni(engine: Engine, network: string): object {
  const ground = cniGround(engine);
  const found = findCniNetwork(ground.confDir, cniName(network));
  const { id, name, createdAt, subnets } = listed(found);
  const inIt = containersWithAttachments(ground.stateDir)
    .flatMap((container) => attachmentsOf(ground.stateDir, container))
    .filter((one) => one.network === found.name);
  return {
    Name: name,
    Id: id,
    Created: createdAt,
    Scope: 'local',
    Driver: 'cni',
    EnableIPv4: subnets.some(({ subnet }) => !subnet.includes(':')),
    EnableIPv6: subnets.some(({ subnet }) => subnet.includes(':')),
    IPAM: {
      Driver: 'cni',
      Options: {},
      Config: subnets.map(({ subnet, gateway }) => ({
        Subnet: subnet,
        ...(gateway === undefined ? {} : { Gateway: gateway }),
      })),
    },
    Internal: false,
    Attachable: false,
    Ingress: false,
    Containers: Object.fromEntries(inIt.map((one) => [one.containerId, containerView(engine, one)])),
    Options: {},
    Labels: {},
    CNI: {
      Path: found.path,
      Versions: found.versions,
      Plugins: found.plugins.map(({ type }) => type),
      Capabilities: [...capabilitiesOf(found)],
    },
  };
}

function containerView(engine: Engine, { containerId, network }: CniAttachment): object {
  const record = findRecord(engine, containerId);
  const joined = record && cniJoined(engine, record).networks.find((one) => one.network === networkOfCni(network));
  const address = (v6: boolean): string => {
    const found = joined?.addresses.find((one) => one.address.includes(':') === v6);
    return found === undefined ? '' : `${found.address}/${found.prefix}`;
  };
  return {
    Name: record?.name ?? '',
    EndpointID: '',
    MacAddress: joined?.mac ?? '',
    IPv4Address: address(false),
    IPv6Address: address(true),
  };
}

function listed(network: CniNetwork): ListedCni {
  return {
    id: createHash('sha256').update(network.name).digest('hex'),
    name: networkOfCni(network.name),
    driver: 'cni',
    createdAt: (statSync(network.path, { throwIfNoEntry: false })?.mtime ?? new Date(0)).toISOString(),
    subnets: network.plugins.flatMap(({ config }) => subnetsOf(config['ipam'])),
    internal: false,
    labels: {},
    options: {},
  };
}

/** Of host-local: `subnet`, or `ranges`, lists of lists. Only shown, so what is not understood is nothing. */
function subnetsOf(ipam: unknown): { subnet: string; gateway?: string }[] {
  if (typeof ipam !== 'object' || ipam === null) return [];
  const { ranges } = ipam as { ranges?: unknown };
  return [ipam, ...(Array.isArray(ranges) ? (ranges as unknown[]).flat() : [])].flatMap((range) => {
    const { subnet, gateway } = (range ?? {}) as { subnet?: unknown; gateway?: unknown };
    if (typeof subnet !== 'string') return [];
    try {
      return [{ subnet: formatSubnet(parseSubnet(subnet)), ...(typeof gateway === 'string' ? { gateway } : {}) }];
    } catch (error) {
      if (!(error instanceof TareError)) throw error;
      return [];
    }
  });
}
